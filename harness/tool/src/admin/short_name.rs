//! Short names of disks, for narrow output: the serial number, or the name of the file.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the kernel describes block devices.
const BLOCK_DEVICES: &str = "/sys/class/block";

/// Files below a block device's folder there that have its serial number.
const SERIALS: [&str; 2] = ["device/serial", "serial"];

/// Short names of disks, each different from the others.
pub(super) fn short_names(images: &[&str]) -> Vec<String> {
    let serials: Vec<Option<String>> = images.iter().map(|image| serial(Path::new(image))).collect();
    let short = |place: usize, parts: usize| serials[place].clone().unwrap_or_else(|| tail(images[place], parts));
    let mut parts = vec![1; images.len()];
    loop {
        let names: Vec<String> = (0..images.len()).map(|place| short(place, parts[place])).collect();
        let is_unclear =
            |place: usize| serials[place].is_none() && names.iter().filter(|name| **name == names[place]).count() > 1;
        // A name that is whole already can't be made longer.
        let unclear: Vec<usize> =
            (0..images.len()).filter(|place| is_unclear(*place) && names[*place] != images[*place]).collect();
        if unclear.is_empty() {
            return names;
        }
        unclear.into_iter().for_each(|place| parts[place] += 1);
    }
}

/// The last parts of a path; all of it if it isn't a path, or has no more parts.
fn tail(image: &str, parts: usize) -> String {
    let image = image.split_once("://").map_or(image, |(_, place)| place);
    match image.rmatch_indices('/').nth(parts - 1) {
        Some((slash, _)) => image[slash + 1..].to_owned(),
        None => image.to_owned(),
    }
}

/// The serial number of a block device, with the number of the partition.
fn serial(image: &Path) -> Option<String> {
    let device = image.canonicalize().ok()?;
    device.strip_prefix("/dev").ok()?;
    let folder = PathBuf::from(BLOCK_DEVICES).join(device.file_name()?);
    let partition = fs::read_to_string(folder.join("partition")).ok();
    let disk = if partition.is_some() { folder.canonicalize().ok()?.parent()?.to_owned() } else { folder };
    let serial = SERIALS.iter().find_map(|name| fs::read_to_string(disk.join(name)).ok())?;
    let serial = serial.trim();
    let part = partition.map(|number| format!("-{}", number.trim())).unwrap_or_default();
    (!serial.is_empty()).then(|| format!("{serial}{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_short_as_they_are_clear() {
        assert_eq!(short_names(&["/a/b/v.img", "/a/w.img"]), ["v.img", "w.img"]);
        assert_eq!(short_names(&["/a/v.img", "/a/c/v.img", "/a/w.img"]), ["a/v.img", "c/v.img", "w.img"]);
        assert_eq!(short_names(&["/x/a/v.img", "/y/a/v.img"]), ["x/a/v.img", "y/a/v.img"]);
        assert_eq!(short_names(&["nbd://h:1/e", "nbd://g:1/e"]), ["h:1/e", "g:1/e"]);
        assert_eq!(short_names(&["same", "same"]), ["same", "same"]);
        assert_eq!(short_names(&[]), [""; 0]);
    }
}
