//! Replacing a disk that won't come back by a new one: it is formatted, added as a slave, filled, and given the role of the
//! other.

use hammer2_core::cluster::{MemberState, NewPfs};
use hammer2_core::fs::{FileSystem, TimeSource};
use hammer2_core::media::{PfsKind, Uuid};
use hammer2_core::newfs::{NewfsOptions, has_filesystem, newfs};
use hammer2_core::random::Random;
use hammer2_core::selftest::Failure;

use super::{LABEL, mount, open, supervisor};
use crate::options::Options;
use crate::platform::{CLUSTER_MEMORY, Platform};
use crate::println;
use crate::time::Undated;

/// Makes a filesystem on every disk that has none, and puts the node on it in the place of the missing member.
pub(super) async fn put_in(platform: &Platform, options: &Options) -> Result<(), Failure> {
    let mut random = Random::new(Undated.random());
    for driver in &platform.disks {
        let disk = open(platform, options, driver).await?;
        if !has_filesystem(&disk, CLUSTER_MEMORY).await? {
            println!("cluster: {} is blank, and gets a filesystem", disk.info().name);
            let mut fill = |bytes: &mut [u8]| random.fill(bytes);
            newfs(&[&disk], &NewfsOptions::default(), CLUSTER_MEMORY, &mut fill, Undated.now()).await?;
        }
    }
    let fs = mount(platform, options).await?.make_writable(&Undated).await?;
    replace(&fs).await?;
    supervisor::print_health(&fs);
    drop(fs.unmount().await?);
    Ok(())
}

async fn replace(fs: &FileSystem) -> Result<(), Failure> {
    let Some(old) = fs.missing_members().first().map(|member| member.fsid) else {
        return Err(Failure::new(format_args!("no member is missing")));
    };
    let is_new = |state| matches!(state, MemberState::Aside(_));
    let Some(newcomer) = fs.member_statuses().find(|member| is_new(member.state)) else {
        return Err(Failure::new(format_args!("no node is there to take its place")));
    };
    let mut fsid = [0; 16];
    Random::new(Undated.random()).fill(&mut fsid);
    let fsid = Uuid::random(fsid);
    let pfs = NewPfs { label: LABEL, kind: PfsKind::Slave, clid: fs.pfs().clid, fsid, time: Undated.now() };
    fs.replace_member(old, newcomer.node, &pfs, &mut |_| {}).await?;
    println!("cluster: node {} has taken the place of {old}", newcomer.node.0);
    Ok(())
}
