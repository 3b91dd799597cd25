use clap::Args;
use lab::{Error, image};

#[derive(Args)]
pub struct Clean {}

impl Clean {
    pub fn run(self) -> Result<(), Error> {
        for image in image::remove_all()? {
            println!("removed {image}");
        }
        Ok(())
    }
}
