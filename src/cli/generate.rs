//! Manual pages and shell completions from the definitions themselves.
//!
//! Takes any [`clap::Command`], so that both programs' definitions go through it.

use clap::Command;
use clap_complete::Shell;
use std::io::{self, Write};
use std::path::Path;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Manual pages, section 1: one for the program, one for each command.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The name that it usually has.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Generates `page` for `program`.
///
/// # Errors
/// [`io::Error`] if rendering fails, which writing to memory does not.
pub fn generate(program: &Command, page: Page) -> io::Result<Vec<Generated>> {
    let name = program.get_name();
    match page {
        Page::Man => man(program),
        Page::Bash => Ok(vec![completion(program, Shell::Bash, format!("{name}.bash"))]),
        Page::Zsh => Ok(vec![completion(program, Shell::Zsh, format!("_{name}"))]),
        Page::Fish => Ok(vec![completion(program, Shell::Fish, format!("{name}.fish"))]),
    }
}

/// Writes generated files into `dir`, or one after the other to `out`.
///
/// # Errors
/// [`io::Error`] with the file's name in it.
pub fn write(files: &[Generated], dir: Option<&Path>, out: &mut dyn Write) -> io::Result<()> {
    for file in files {
        match dir {
            None => out.write_all(&file.bytes)?,
            Some(dir) => {
                let path = dir.join(&file.name);
                std::fs::write(&path, &file.bytes)
                    .map_err(|e| io::Error::new(e.kind(), format!("cannot write {}: {e}", path.display())))?;
            }
        }
    }
    Ok(())
}

fn completion(program: &Command, shell: Shell, name: String) -> Generated {
    let mut command = program.clone();
    let program_name = command.get_name().to_owned();
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut command, program_name, &mut bytes);
    Generated { name, bytes }
}

fn man(program: &Command) -> io::Result<Vec<Generated>> {
    let mut built = program.clone();
    built.build();
    let mut pages = vec![page(&built, built.get_name())?];
    for sub in built.get_subcommands().filter(|s| !s.is_hide_set()) {
        pages.push(page(sub, &format!("{}-{}", built.get_name(), sub.get_name()))?);
    }
    Ok(pages)
}

fn page(command: &Command, title: &str) -> io::Result<Generated> {
    let man =
        clap_mangen::Man::new(command.clone()).title(title.to_uppercase()).section("1").manual("Wiretape");
    let mut bytes = Vec::new();
    man.render(&mut bytes)?;
    Ok(Generated { name: format!("{title}.1"), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tape;

    #[test]
    fn there_is_a_page_for_the_program_and_one_for_each_command() {
        let pages = generate(&tape::command(), Page::Man).expect("writes to memory");
        let names: Vec<&str> = pages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names[0], "tape.1");
        for sub in
            ["info", "read", "verify", "loss", "extract", "follow", "export", "hist", "decode", "replay"]
        {
            assert!(names.contains(&format!("tape-{sub}.1").as_str()), "{sub}");
        }
        for page in &pages {
            let text = String::from_utf8_lossy(&page.bytes);
            assert!(text.contains("EXIT STATUS") && text.contains(".SH NAME"), "{}", page.name);
        }
    }

    #[test]
    fn each_shell_completes_every_command() {
        for shell in [Page::Bash, Page::Zsh, Page::Fish] {
            let files = generate(&tape::command(), shell).expect("writes to memory");
            let text = String::from_utf8_lossy(&files[0].bytes).into_owned();
            assert!(text.contains("replay") && text.contains("--topspeed") || text.contains("topspeed"));
        }
    }
}
