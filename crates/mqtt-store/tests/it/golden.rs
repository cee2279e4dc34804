//! Directories that earlier versions wrote are opened, and hold what was put into them.

use std::path::Path;

use mqtt_session::{Level, MemoryStore, SessionNumber, SessionStore};

use crate::harness::{Scratch, copy_dir, loaded};

mod content;

#[test]
fn format_1_holds_every_kind_of_record() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/1");
    let scratch = Scratch::new();
    copy_dir(&golden, scratch.path());
    let store = scratch.open();
    assert_eq!((store.report().created, store.report().cut.clone()), (false, None));
    assert_eq!(store.report().groups, content::groups().len() as u64);

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
