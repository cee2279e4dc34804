use mqtt_auth::{EditError, Identity, Login, PasswordEditor, PasswordFile, Verdict};

use crate::{authenticators::ask, scratch::Scratch};

const BOB: &str = "bob:$argon2id$v=19$m=8,t=1,p=1$Ym9ic2FsdDEyMzQ1Njc4OQ$8OrhTpwmcbmM3Jl2A71487W0Ur1cFkjZoP9+vCa7wos";

#[test]
fn a_new_file_belongs_to_its_owner_alone() {
    let scratch = Scratch::nothing();
    let mut editor = PasswordEditor::open(scratch.path()).unwrap();
    editor.set_user("alice", b"swordfish").unwrap();
    assert!(editor.has_user("alice"));
    editor.save().unwrap();

    let text = scratch.text();
    assert!(text.starts_with("alice:$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    assert_eq!(scratch.names_in_directory(), ["file"], "nothing temporary is left");
    #[cfg(unix)]
    assert_eq!(scratch.mode(), 0o600);

    let file = PasswordFile::load(scratch.path()).unwrap();
    let login = Login::new("c").user_name("alice").password(&b"swordfish"[..]);
    assert_eq!(ask(&file, login), Verdict::Allow(Identity::user("alice")));
    assert_eq!(file.warnings(), []);
}

#[test]
fn other_lines_stay_as_they_are() {
    let scratch = Scratch::file(format!("# night: shift\n\n{BOB}\n#bob:was here"));
    let mut editor = PasswordEditor::open(scratch.path()).unwrap();
    editor.set_user("alice", b"one").unwrap();
    editor.save().unwrap();
    let text = scratch.text();
    let before = format!("# night: shift\n\n{BOB}\n#bob:was here\nalice:$argon2id$");
    assert!(text.starts_with(&before), "{text}");

    let mut editor = PasswordEditor::open(scratch.path()).unwrap();
    assert!(editor.remove_user("bob"));
    assert!(!editor.remove_user("bob"));
    assert!(!editor.remove_user("# night"));
    editor.save().unwrap();
    assert!(scratch.text().starts_with("# night: shift\n\n#bob:was here\nalice:"));
}

#[test]
fn a_new_password_takes_the_place_of_the_old_with_another_salt() {
    let scratch = Scratch::file(format!("{BOB}\n# end\n"));
    let save = |password: &[u8]| {
        let mut editor = PasswordEditor::open(scratch.path()).unwrap();
        editor.set_user("bob", password).unwrap();
        editor.save().unwrap();
        scratch.text()
    };
    let (first, second) = (save(b"same"), save(b"same"));
    assert_ne!(first, second);
    for text in [first, second] {
        assert!(text.starts_with("bob:$argon2id$v=19$m=19456") && text.ends_with("\n# end\n"));
        assert_eq!(text.lines().count(), 2);
    }
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let scratch = Scratch::nothing();
    let mut editor = PasswordEditor::open(scratch.path()).unwrap();
    for name in ["", "a:b", "#a", " a", "a ", "a\nroot:x", "a\0", "\u{feff}a"] {
        let error = editor.set_user(name, b"x").unwrap_err();
        assert!(matches!(error, EditError::UserName(_)), "{name:?}: {error}");
    }
    assert!(matches!(editor.set_user("alice", b""), Err(EditError::EmptyPassword)));
    assert!(!editor.has_user("alice"));
}

#[test]
fn a_malformed_file_is_not_edited() {
    let scratch = Scratch::file("alice:swordfish\n");
    let error = PasswordEditor::open(scratch.path()).map(drop).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    assert!(!error.to_string().contains("swordfish"), "{error}");
}

#[test]
fn an_edit_does_not_undo_anothers() {
    let scratch = Scratch::file(BOB);
    let mut ours = PasswordEditor::open(scratch.path()).unwrap();
    let mut theirs = PasswordEditor::open(scratch.path()).unwrap();
    theirs.remove_user("bob");
    theirs.save().unwrap();
    ours.set_user("alice", b"x").unwrap();
    assert!(matches!(ours.save(), Err(EditError::Changed(_))));
    assert_eq!(scratch.text(), "");
}

#[test]
fn an_editor_can_save_again() {
    let scratch = Scratch::file(BOB);
    let mut editor = PasswordEditor::open(scratch.path()).unwrap();
    editor.save().unwrap();
    editor.remove_user("bob");
    editor.save().unwrap();
    editor.save().unwrap();
    assert_eq!(scratch.text(), "");
}

#[cfg(unix)]
#[test]
fn rights_of_others_are_taken_away_and_reading_by_the_group_stays() {
    let scratch = Scratch::file(BOB);
    for (before, after) in [(0o644, 0o640), (0o666, 0o640), (0o600, 0o600), (0o400, 0o600)] {
        scratch.set_mode(before);
        PasswordEditor::open(scratch.path()).unwrap().save().unwrap();
        assert_eq!(scratch.mode(), after, "from {before:o}");
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_stays_one() {
    let (scratch, link) = (Scratch::file(BOB), Scratch::nothing());
    std::os::unix::fs::symlink(scratch.path(), link.path()).unwrap();
    let mut editor = PasswordEditor::open(link.path()).unwrap();
    editor.remove_user("bob");
    editor.save().unwrap();
    assert!(link.path().is_symlink());
    assert_eq!(scratch.text(), "");
}
