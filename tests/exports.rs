//! What libcourier.so shows the process that loads it.

use std::process::Command;

fn output(program: &str, arguments: &[&str], file: &std::path::Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error} (Debian: apt-get install binutils)"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_module_exports_the_functions_of_a_zabbix_module_and_nothing_else() {
    let built = lab::build::courier().unwrap();
    let table = output("nm", &["-D", "--defined-only"], &built.module);
    let mut names: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "zbx_module_api_version",
            "zbx_module_init",
            "zbx_module_item_list",
            "zbx_module_item_timeout",
            "zbx_module_uninit",
        ]
    );
}

#[test]
fn the_module_loads_with_the_glibc_of_debian_11() {
    let built = lab::build::courier().unwrap();
    let table = output("objdump", &["-T"], &built.module);
    let versions = table.split("GLIBC_2.").skip(1).map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap()
    });
    assert!(versions.max().unwrap() <= 31, "bullseye has glibc 2.31");
}

#[test]
fn the_modules_openssl_is_its_own_and_meets_no_other_in_the_process() {
    let built = lab::build::courier().unwrap();
    let table = output("nm", &["-D"], &built.module);
    let shared = table.lines().filter(|line| {
        let name = line.split_whitespace().last().unwrap_or_default();
        ["SSL_", "OPENSSL_", "CRYPTO_", "EVP_", "ERR_", "X509_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    });
    assert_eq!(shared.collect::<Vec<_>>(), Vec::<&str>::new());
    let needed = output("objdump", &["-p"], &built.module);
    assert!(needed.contains("NEEDED") && !needed.contains("libssl"));
}
