//! Self-contained pictures and pages: they need no network and no script. Texts in them may hold anything, and they are readable
//! in light and dark.
//! Elements are written with `maud`, which escapes all text. But XML has no form at all for some characters, so all text from
//! outside goes through [`Text`].

use std::fmt::{self, Display, Write};

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

/// The colours of everything drawn, as classes: viewers that don't know dark mode use the first set.
const PICTURE_STYLE: &str = include_str!("picture.css");
/// The style of pages, besides the pictures in them.
const PAGE_STYLE: &str = include_str!("page.css");

/// Text from outside, made safe for a picture or a page: control characters, marks that change the direction of writing, and
/// invalid characters are shown as `?`.
pub(crate) struct Text<T>(pub(crate) T);

impl<T: Display> Render for Text<T> {
    fn render_to(&self, buffer: &mut String) {
        let mut shown = String::new();
        // Writing to a string can't fail.
        let _ = write!(Fit(&mut shown), "{}", self.0);
        shown.render_to(buffer);
    }
}

/// A writer that replaces characters which pages can't hold.
struct Fit<'s>(&'s mut String);

impl Write for Fit<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend(text.chars().map(|letter| if is_fit(letter) { letter } else { '?' }));
        Ok(())
    }
}

fn is_fit(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !letter.is_control() && !turns && !matches!(letter, '\u{fffe}' | '\u{ffff}')
}

/// A picture of this size, in pixels.
pub(crate) struct Picture {
    pub(crate) width: u64,
    pub(crate) height: u64,
    /// A description, for readers who can't see it.
    pub(crate) title: String,
    /// The drawing, in classes of the style.
    pub(crate) drawn: Markup,
}

impl Picture {
    /// Several pictures as one, below each other.
    pub(crate) fn stacked(pictures: &[Self]) -> Self {
        let above = |place: usize| pictures[..place].iter().map(|above| above.height).sum::<u64>();
        let titles: Vec<&str> = pictures.iter().map(|picture| &picture.title[..]).collect();
        Self {
            width: pictures.iter().map(|picture| picture.width).max().unwrap_or(0),
            height: above(pictures.len()),
            title: titles.join("; "),
            drawn: html! {
                @for (place, picture) in pictures.iter().enumerate() {
                    g transform={ "translate(0 " (above(place)) ")" } { (picture.drawn) }
                }
            },
        }
    }

    /// The picture as a file of its own.
    pub(crate) fn alone(&self) -> String {
        let declaration = PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let style = html! { style { (PreEscaped(PICTURE_STYLE)) } };
        html! { (declaration) (self.element(&style)) }.into_string()
    }

    /// The picture for a page that has the style.
    pub(crate) fn in_page(&self) -> Markup {
        self.element(&Markup::default())
    }

    fn element(&self, style: &Markup) -> Markup {
        let Self { width, height, title, drawn } = self;
        let area = format!("0 0 {width} {height}");
        html! {
            svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox=(area) role="img" {
                title { (Text(title)) }
                (style)
                rect class="paper" width=(width) height=(height) {}
                (drawn)
            }
        }
    }
}

/// The share of a length that `part` has of `whole`; 0 if `whole` is 0.
pub(crate) fn share(part: u64, whole: u64, length: u64) -> u64 {
    (u128::from(part) * u128::from(length) / u128::from(whole.max(1))) as u64
}

/// A page.
pub(crate) fn page(title: &str, body: &Markup) -> String {
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy);
                title { (Text(title)) }
                style { (PreEscaped(PICTURE_STYLE)) (PreEscaped(PAGE_STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Text that a label, a path or a message may hold.
    pub(crate) const HOSTILE: &str =
        "</text></title><script>alert('1')</script> & \" ' ]]> \u{1}\u{0}\u{fffe}\u{202e}\n-->";

    /// The names of a picture's elements; asserts that it is well-formed.
    pub(crate) fn elements(picture: &str) -> Vec<String> {
        let document = roxmltree::Document::parse(picture).expect("well-formed");
        let names = document.descendants().filter(roxmltree::Node::is_element);
        names.map(|node| node.tag_name().name().to_owned()).collect()
    }

    #[test]
    fn text_is_text_whatever_it_holds() {
        let picture = |title: &str| Picture {
            width: 10,
            height: 20,
            title: title.to_owned(),
            drawn: html! { text x=(Text(title)) { (Text(title)) } },
        };
        let hostile = picture(HOSTILE).alone();
        assert_eq!(elements(&hostile), elements(&picture("plain").alone()));
        let document = roxmltree::Document::parse(&hostile).expect("well-formed");
        let text = document.descendants().find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")));
        let shown = HOSTILE.replace(|letter| !is_fit(letter), "?");
        assert_eq!(text.and_then(|text| text.text()), Some(&shown[..]));
        assert!(shown.starts_with("</text>") && shown.contains(" ????? ".trim()) && shown.ends_with("-->"), "{shown}");
    }

    #[test]
    fn a_page_holds_what_it_is_given_and_fetches_nothing() {
        let body = html! { p title=(Text(HOSTILE)) { (Text(HOSTILE)) } };
        let page = page(HOSTILE, &body);
        assert!(!page.contains("<script") && page.starts_with("<!DOCTYPE html>"), "{page}");
        for fetching in ["src=", "href=", "url(", "@import", "//"] {
            assert!(!page.contains(fetching), "{fetching}");
        }
    }
}
