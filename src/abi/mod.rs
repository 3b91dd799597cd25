//! The border to C: the agent's module interface, its log, and the few system calls that need `unsafe`.
//!
//! Everything outside of this folder is safe Rust. What crosses into C is allocated by libc, because C frees it.

mod log;
mod pages;
mod shared;
mod signals;

use std::borrow::Cow;
use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

pub use self::log::install as install_log;
pub use self::pages::prefer_huge;
pub use self::shared::{anonymous as shared_memory, file as shared_file, user};
pub use self::signals::without_signals;

#[allow(
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    dead_code,
    unreachable_pub
)]
mod raw {
    include!(concat!(env!("OUT_DIR"), "/module.rs"));
}

unsafe extern "C" {
    fn courier_host_config() -> *const c_char;
    fn courier_host_has_timeout() -> c_int;
}

/// `ZBX_MODULE_API_VERSION`: 2 in Zabbix 5.0, 6.0 and 7.0.
pub const API_VERSION: c_int = raw::MODULE_API_VERSION as c_int;
/// What a module function answers when it went well.
pub const OK: c_int = raw::MODULE_OK as c_int;

/// A key that is asked for, as the host hands it over.
pub type RawRequest = raw::item_request;
/// The answer, as the host wants it.
pub type RawResult = raw::item_result;
/// One entry of the module's key list.
pub type RawKey = raw::item_key;

/// What an item answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// An unsigned integer.
    Integer(u64),
    /// A number.
    Number(f64),
    /// A text of any length.
    Text(String),
}

/// The module's key list, which the host writes to.
#[repr(transparent)]
pub struct Keys<const N: usize>(std::cell::UnsafeCell<[RawKey; N]>);

// SAFETY: only the host touches the list, from the one thread of the process that loads the module.
unsafe impl<const N: usize> Sync for Keys<N> {}

impl<const N: usize> Keys<N> {
    /// The list; its last entry must be [`end`].
    pub const fn new(keys: [RawKey; N]) -> Self {
        Keys(std::cell::UnsafeCell::new(keys))
    }

    /// What the host is handed.
    pub const fn as_ptr(&self) -> *mut RawKey {
        self.0.get().cast()
    }
}

/// What serves a key.
pub trait Item {
    /// The key's name.
    const KEY: &'static CStr;
    /// The parameter that `zabbix_agentd -p` runs the key with.
    const TEST: Option<&'static CStr> = None;

    /// Answers the key.
    ///
    /// # Errors
    /// The reason why the item is unsupported.
    fn answer(request: &Request<'_>) -> Result<Answer, String>;
}

/// The entry of a key list for an item.
pub const fn key<I: Item>() -> RawKey {
    RawKey {
        // The host copies both texts and never writes to them.
        key: I::KEY.as_ptr().cast_mut(),
        flags: raw::KEY_HAS_PARAMETERS,
        function: Some(serve::<I>),
        test_parameter: match I::TEST {
            Some(test) => test.as_ptr().cast_mut(),
            None => std::ptr::null_mut(),
        },
    }
}

/// The end of a key list.
pub const fn end() -> RawKey {
    RawKey {
        key: std::ptr::null_mut(),
        flags: 0,
        function: None,
        test_parameter: std::ptr::null_mut(),
    }
}

/// A key that is asked for.
pub struct Request<'a> {
    /// Its parameters; what is no UTF-8 has the replacement character.
    pub parameters: Vec<Cow<'a, str>>,
    /// The time that its server waits, where the host tells (Zabbix 7.0).
    pub timeout: Option<Duration>,
}

/// What the host calls: a panic and an error make the item unsupported, and never reach the host.
///
/// # Safety
/// `request` and `result` must be what the host calls an item's function with.
unsafe extern "C" fn serve<I: Item>(request: *mut RawRequest, result: *mut RawResult) -> c_int {
    // SAFETY: the host hands over a request that lives until this function returns.
    let request = unsafe { read(request) };
    let answer = guard(|| I::answer(&request)).unwrap_or_else(|| {
        Err("the courier failed unexpectedly; the agent's log has the place".to_owned())
    });
    // SAFETY: the host hands over a result of its own, empty, to be filled.
    unsafe { write(&mut *result, answer) }
}

/// Runs `work` so that a panic ends here; `None` if there was one.
pub fn guard<T>(work: impl FnOnce() -> T) -> Option<T> {
    // Whatever a panic leaves half done is state of this process alone, and made anew when it is next needed.
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// The path of the host's configuration file, where the host exports it (5.0 and 6.0 do).
pub fn host_config() -> Option<PathBuf> {
    // SAFETY: the host's text, if there is one, lives as long as the process and is not written to after its start.
    unsafe {
        let path = courier_host_config();
        (!path.is_null()).then(|| OsStr::from_bytes(CStr::from_ptr(path).to_bytes()).into())
    }
}

/// # Safety
/// `request` must point to a request of the host's that lives for `'a`.
unsafe fn read<'a>(request: *const RawRequest) -> Request<'a> {
    // SAFETY: the caller's promise; each parameter is a text that ends in NUL, and there are as many as it says.
    // `timeout` is there only where the host has it, so it is read through the pointer and not through a reference.
    unsafe {
        let count = usize::try_from((*request).parameter_count).unwrap_or(0);
        let parameters = (0..count).map(|i| CStr::from_ptr(*(*request).parameters.add(i)));
        let seconds = (courier_host_has_timeout() != 0).then(|| (*request).timeout);
        Request {
            parameters: parameters.map(CStr::to_string_lossy).collect(),
            timeout: seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
        }
    }
}

/// # Safety
/// `result` must be the host's, and its texts unset.
unsafe fn write(result: &mut RawResult, answer: Result<Answer, String>) -> c_int {
    let (bit, code) = match answer {
        Ok(Answer::Integer(value)) => {
            result.ui64 = value;
            (raw::RESULT_UI64, raw::ITEM_OK)
        }
        Ok(Answer::Number(value)) => {
            result.dbl = value;
            (raw::RESULT_DOUBLE, raw::ITEM_OK)
        }
        Ok(Answer::Text(text)) => {
            result.text = owned_by_c(&text);
            (raw::RESULT_TEXT, raw::ITEM_OK)
        }
        Err(reason) => {
            result.message = owned_by_c(&reason);
            (raw::RESULT_MESSAGE, raw::ITEM_FAIL)
        }
    };
    result.type_ |= bit as c_int;
    code as c_int
}

/// A copy of `text` that C frees, up to its first NUL.
fn owned_by_c(text: &str) -> *mut c_char {
    let length = text.find('\0').unwrap_or(text.len());
    // SAFETY: malloc gives room for the text and its NUL, or null, which the host takes for no text.
    unsafe {
        let copy = libc::malloc(length + 1).cast::<u8>();
        if !copy.is_null() {
            copy.copy_from_nonoverlapping(text.as_ptr(), length);
            copy.add(length).write(0);
        }
        copy.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Probe<const N: u8>;

    impl<const N: u8> Item for Probe<N> {
        const KEY: &'static CStr = c"probe";

        fn answer(request: &Request<'_>) -> Result<Answer, String> {
            match N {
                0 => Ok(Answer::Number(1.5)),
                1 => Ok(Answer::Integer(7)),
                2 => Ok(Answer::Text(request.parameters.join("|"))),
                3 => Err("why\0cut".to_owned()),
                _ => panic!("for the test"),
            }
        }
    }

    fn asked<const N: u8>() -> (c_int, RawResult) {
        let mut parameters = [c"a,b".as_ptr().cast_mut(), c"\xff".as_ptr().cast_mut()];
        // SAFETY: all members are integers and pointers, for which zero is a value.
        let (mut request, mut result): (RawRequest, RawResult) = unsafe { std::mem::zeroed() };
        request.parameter_count = 2;
        request.parameters = parameters.as_mut_ptr();
        // SAFETY: request and result are as the host makes them.
        let code = unsafe { serve::<Probe<N>>(&mut request, &mut result) };
        (code, result)
    }

    fn freed(text: *mut c_char) -> String {
        // SAFETY: `text` was made by owned_by_c and is used no more.
        unsafe {
            let copy = CStr::from_ptr(text).to_str().unwrap().to_owned();
            libc::free(text.cast());
            copy
        }
    }

    #[test]
    fn answers_set_their_own_member_alone() {
        let (code, result) = asked::<0>();
        assert_eq!((code, result.type_, result.dbl), (0, 0x02, 1.5));
        let (code, result) = asked::<1>();
        assert_eq!((code, result.type_, result.ui64), (0, 0x01, 7));
        let (code, result) = asked::<2>();
        assert_eq!((code, result.type_), (0, 0x08));
        assert_eq!(freed(result.text), "a,b|\u{fffd}");
    }

    #[test]
    fn an_error_is_the_reason_why_the_item_is_unsupported() {
        let (code, result) = asked::<3>();
        assert_eq!((code, result.type_), (1, 0x20));
        assert_eq!(freed(result.message), "why");
    }

    #[test]
    fn a_panic_ends_at_the_border() {
        let (code, result) = asked::<4>();
        assert_eq!((code, result.type_), (1, 0x20));
        assert!(freed(result.message).contains("unexpectedly"));
    }

    #[test]
    fn without_a_host_nothing_is_known_of_one() {
        assert_eq!(host_config(), None);
        // SAFETY: it reads the address of a weak symbol.
        assert_eq!(unsafe { courier_host_has_timeout() }, 0);
    }
}
