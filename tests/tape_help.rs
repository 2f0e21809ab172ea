//! Every command and flag of `tape` is documented, and its man page and completions know it.

mod tape_common;

use clap::CommandFactory;
use tape_common::tape_ok;
use wiretape::cli::tape::TapeArgs;

#[test]
fn each_flag_stands_in_the_help_with_a_sentence_and_each_command_ends_with_exit_codes() {
    let mut definition = TapeArgs::command();
    definition.build();
    for command in definition.get_subcommands() {
        let help = tape_ok(&[command.get_name(), "--help"]);
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            if let Some(long) = argument.get_long() {
                assert!(help.contains(&format!("--{long}")), "{} --{long}", command.get_name());
            }
            if let Some(short) = argument.get_short() {
                assert!(help.contains(&format!("-{short}")), "{} -{short}", command.get_name());
            }
        }
        assert!(help.contains("EXAMPLES") && help.contains("EXIT STATUS"), "{}", command.get_name());
    }
}

#[test]
fn the_version_names_the_revision_and_the_target() {
    let version = tape_ok(&["--version"]);
    assert!(version.starts_with(concat!("tape ", env!("CARGO_PKG_VERSION"), " (")), "{version}");
    assert!(version.contains("features:"));
}

#[test]
fn man_pages_and_completions_are_generated_for_every_command() {
    let dir = tempfile::tempdir().expect("a directory");
    tape_ok(&["generate", "man", "-o", dir.path().to_str().expect("plain")]);
    for command in TapeArgs::command().get_subcommands() {
        let page = dir.path().join(format!("tape-{}.1", command.get_name()));
        assert!(page.exists(), "{page:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(tape_ok(&["generate", shell, "--program", "tape"]).contains("oneatatime"), "{shell}");
    }
}
