//! `cargo xtask image`: the shipped program as a container image, in an archive that needs no docker to make or to read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use enmesh_interop::{Architecture, CheckedImage, Image, ensure_programs};

use crate::dist::{self, Machine};
use crate::repository;

/// What reads the archive.
const TOOLS: [(&str, &str); 1] = [("/usr/bin/skopeo", "skopeo")];

/// What makes the same image out of the Dockerfile, in a test.
const TEST_TOOLS: [(&str, &str); 1] = [("/usr/bin/buildah", "buildah")];

/// What `cargo xtask image` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The machine that the image is for.
    #[arg(long, value_enum, default_value_t = Machine::X86_64)]
    target: Machine,
    /// Take this static program; else `cargo xtask dist` makes it.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Builds, writes and checks it, and says where it is.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    ensure_programs(&TOOLS)?;
    ensure_programs(args.target.runner())?;
    let program = match &args.program {
        Some(program) => program.clone(),
        None => dist::program(args.target.triple())?,
    };
    pack(args.target, &program)
}

/// Installs what the suite needs for it.
pub(crate) fn ensure_tools() -> anyhow::Result<()> {
    dist::add_target(Machine::of_here()?.triple())?;
    ensure_programs(&dist::TOOLS)?;
    ensure_programs(&TOOLS)?;
    ensure_programs(&TEST_TOOLS)
}

/// The same for the suite, which gets the program that was packed.
///
/// Only when everything is to be tried it is the one that is shipped: another build of it would be put together in another
/// order, which no test of an image or a pod can see, in half of the time.
pub(crate) fn for_tests(as_shipped: bool) -> anyhow::Result<PathBuf> {
    let here = Machine::of_here()?;
    let program = match as_shipped {
        true => dist::program(here.triple())?,
        false => dist::quick_program(here.triple())?,
    };
    pack(here, &program)?;
    Ok(program)
}

/// The images for all other machines that can be built for from here, as they are shipped; checked as far as qemu can run them.
pub(crate) fn for_others() -> anyhow::Result<()> {
    let here = Machine::of_here()?;
    for machine in here.others() {
        ensure_programs(machine.runner())?;
        pack(machine, &dist::program(machine.triple())?)?;
    }
    Ok(())
}

fn pack(machine: Machine, program: &Path) -> anyhow::Result<()> {
    let word = machine.word();
    let folder = repository::target_directory()?.join("image");
    // Where a Dockerfile finds it, by the name that it has in the image.
    let context = folder.join(word);
    fs::create_dir_all(&context)?;
    fs::copy(program, context.join("enmesh"))
        .with_context(|| format!("{} could not be read", program.display()))?;
    let archive = folder.join(format!("enmesh-{word}.tar"));
    let image = Image::of_program(&Image::release_name(), program)
        .for_architecture(Architecture::of_rust(word)?);
    let digest = image.write(&archive)?;
    let said = CheckedImage::read(&archive)?.verify_shipped(&archive)?;
    let size = fs::metadata(&archive)?.len();
    println!("{}: {size} bytes, {digest}", archive.display());
    println!(
        "skopeo reads it; run out of it alone the program says {}",
        said.trim()
    );
    Ok(())
}
