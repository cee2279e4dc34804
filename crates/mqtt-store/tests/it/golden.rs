//! Directories that earlier versions wrote are opened, and hold what was put into them.

use std::{fs, path::Path};

use mqtt_session::{Level, MemoryStore, SessionNumber, SessionStore};

use crate::harness::{Scratch, copy_dir, loaded};

mod content;

#[test]
fn format_1_holds_every_kind_of_record() {
    holds_everything("1");
}

#[test]
fn format_2_holds_every_kind_of_record() {
    holds_everything("2");
}

fn holds_everything(format: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format);
    let scratch = Scratch::new();
    copy_dir(&golden, scratch.path());
    let store = scratch.open();
    assert_eq!((store.report().created, store.report().cut.clone()), (false, None));
    assert_eq!(store.report().groups, content::groups().len() as u64);
    let now = fs::read_to_string(scratch.path().join("FORMAT")).unwrap();
    assert_eq!(now, "2\n", "an earlier version must not open it any more");

    let model = MemoryStore::default();
    for group in content::groups() {
        model.commit(&group, Level::Memory).unwrap();
    }
    assert_eq!(loaded(&store), loaded(&model));
    for session in content::SESSIONS.map(SessionNumber) {
        let [found, put] =
            [&store as &dyn SessionStore, &model].map(|store| store.read(session, 0, usize::MAX));
        assert_eq!(found.unwrap(), put.unwrap());
    }
}
