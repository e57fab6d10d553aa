//! Packs the pronouncing dictionary and trains the letter-to-sound rules from it, so that the binary starts without
//! parsing anything.

#[path = "build/dictionary.rs"]
mod dictionary;
#[path = "src/text/phonemise/held_out.rs"]
mod held_out;
#[path = "build/letter_to_sound.rs"]
mod letter_to_sound;
#[allow(dead_code, reason = "the crate uses the rest of it")]
#[path = "src/text/phonemise/phone.rs"]
mod phone;

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    for input in [
        "build",
        "build.rs",
        "data/cmudict/cmudict.dict",
        "src/text/phonemise/held_out.rs",
        "src/text/phonemise/phone.rs",
    ] {
        println!("cargo::rerun-if-changed={input}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let entries = dictionary::parse(&fs::read_to_string("data/cmudict/cmudict.dict")?)?;
    fs::write(out.join("dictionary.bin"), dictionary::pack(&entries)?)?;
    fs::write(
        out.join("letter_to_sound.bin"),
        letter_to_sound::train(&entries)?,
    )?;
    Ok(())
}
