//! The states of a mount's nodes, and their names in tallies.

use hammer2_core::cluster::MemberState;
use hammer2_core::fs::FileSystem;

/// The states of a mount's nodes, in order.
pub(crate) fn states(fs: &FileSystem) -> impl Iterator<Item = MemberState> {
    fs.member_statuses().map(|member| member.state)
}

/// The name of a node's state.
pub(crate) fn name_of_state(state: MemberState) -> String {
    match state {
        MemberState::InSync => "in-sync".to_owned(),
        MemberState::Behind(debt) if debt.thorough => "behind-to-compare".to_owned(),
        MemberState::Behind(_) => "behind".to_owned(),
        MemberState::Aside(state) => name_of_variant(&state),
        MemberState::Ejected(why) => format!("ejected-{}", name_of_variant(&why)),
    }
}

/// The name of an enum's variant, as its debug form begins.
pub(crate) fn name_of_variant(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(text.len());
    dashed(&text[..end])
}

fn dashed(name: &str) -> String {
    let mut dashed = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !dashed.is_empty() {
            dashed.push('-');
        }
        dashed.extend(letter.to_lowercase());
    }
    dashed
}
