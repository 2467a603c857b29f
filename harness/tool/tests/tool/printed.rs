//! What the tool says, word for word: `printed/*.trycmd` are commands with what they answer and their exit statuses.
//!
//! `TRYCMD=overwrite` writes the files anew as it is now; what has changed is looked at as the difference of that commit. The
//! folders `.in` and `.out` beside a file have it run in an empty folder of its own.

use std::path::Path;

#[test]
fn commands_answer_word_for_word() {
    let cases = trycmd::TestCases::new();
    cases.register_bin("hammer2", Path::new(env!("CARGO_BIN_EXE_hammer2")));
    cases.register_bin("truncate", Path::new("/usr/bin/truncate"));
    cases.case("tests/tool/printed/*.trycmd");
}
