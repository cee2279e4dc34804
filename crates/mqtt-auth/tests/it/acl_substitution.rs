//! What clients cannot do by calling themselves something clever.

use mqtt_auth::AclFile;

use crate::acl_file::{Client, rules};

/// Values that would be more than themselves if anybody interpreted them.
const CLEVER: [&str; 10] = ["%c", "%u", ".*", "a or b", "${x}", "(a", "[a-z]", "..", "*", "a\\"];

/// Values that are no text of one level.
const SHAPELESS: [&str; 9] = ["", "+", "#", "a/+", "a/#", "../x", "a/b", "/", "x#"];

fn everyones_own() -> AclFile {
    rules("pattern id/%c/box\npattern name/%u/box\npattern %u/%c/both")
}

#[test]
fn values_are_compared_as_they_are_b41() {
    let rules = everyones_own();
    for value in CLEVER {
        let client = Client::user(&rules, value).with_id(value);
        for own in [format!("id/{value}/box"), format!("name/{value}/box")] {
            assert!(client.may_publish(&own) && client.may_receive(&own), "{own}");
            assert!(client.may_subscribe(&own), "{own}");
        }
        for other in ["id/a/box", "name/a/box", "id/b/box", "a/a/both", "id/c/box"] {
            assert!(!client.may_publish(other) && !client.may_receive(other), "{value}: {other}");
            assert!(!client.may_subscribe(other), "{value}: {other}");
        }
    }
}

#[test]
fn no_wildcard_and_no_level_enters_a_rule_b11() {
    let rules = everyones_own();
    for value in SHAPELESS {
        let client = Client::user(&rules, value).with_id(value);
        let topics =
            ["id/a/box", "id//box", "id/a/b/box", "id", "name/../x/box", "a/b/box", "x/box", "a"];
        for topic in topics {
            assert!(!client.may_publish(topic) && !client.may_receive(topic), "{value}: {topic}");
        }
        for filter in ["id/a/box", "id/+/box", "id/#", "#", "name/+/box", "+/+/both"] {
            assert!(!client.may_subscribe(filter), "{value}: {filter}");
        }
    }
}

#[test]
fn one_bad_value_does_not_spoil_rules_without_it() {
    let rules = everyones_own();
    let client = Client::user(&rules, "ann").with_id("a/+");
    assert!(client.may_publish("name/ann/box"));
    assert!(!client.may_publish("id/a/box") && !client.may_publish("ann/a/both"));
}

#[test]
fn without_a_user_name_rules_about_it_do_not_exist_b12() {
    let rules = rules("pattern id/%c/box\npattern name/%u/box\ntopic public/#\npattern deny %u/x");
    let nobody = Client::anonymous(&rules).with_id("c7");
    assert!(nobody.may_publish("id/c7/box") && nobody.may_publish("public/x"));
    for topic in ["name//box", "name/c7/box", "name/%u/box", "name/anonymous/box"] {
        assert!(!nobody.may_publish(topic) && !nobody.may_receive(topic), "{topic}");
    }
    assert!(!nobody.may_subscribe("name/+/box"));
}

#[test]
fn nobody_becomes_sys_by_name() {
    let rules = rules("pattern %u/#\npattern %c/#\npattern below/%c/x");
    let client = Client::user(&rules, "$SYS").with_id("$SYS");
    assert!(!client.may_receive("$SYS/broker/uptime") && !client.may_subscribe("$SYS/#"));
    assert!(client.may_receive("below/$SYS/x"), "it is only special in front");
}

#[test]
fn a_clever_name_does_not_disarm_a_deny_rule() {
    let rules = rules("user a/b\ntopic #\nuser ann\ntopic #\npattern deny private/%u/#");
    let ann = Client::user(&rules, "ann");
    assert!(!ann.may_receive("private/ann/x") && ann.may_receive("private/bob/x"));
    let clever = Client::user(&rules, "a/b");
    assert!(!clever.may_receive("private/a/b/x") && !clever.may_subscribe("private/#"));
    assert!(clever.may_receive("public"));
}

#[test]
fn in_front_of_a_deny_rule_a_clever_name_denies_everything() {
    let rules = rules("user u\ntopic #\ntopic $SYS/#\npattern deny %c/x");
    let client = Client::user(&rules, "u").with_id("$SYS/broker");
    assert!(!client.may_receive("$SYS/broker/x") && !client.may_subscribe("$SYS/#"));
    assert!(!client.may_publish("a") && !client.may_subscribe("#"));
}

#[test]
fn placeholders_in_topic_rules_are_text() {
    let rules = rules("user ann\ntopic %u/%c/x%c");
    let ann = Client::user(&rules, "ann");
    assert!(ann.may_publish("%u/%c/x%c") && !ann.may_publish("ann/c/xc"));
}

#[test]
fn a_client_overlaps_by_its_value_alone() {
    let rules = rules("pattern read +/%c/#");
    let client = Client::anonymous(&rules).with_id("c7");
    for filter in ["#", "+/+", "a/c7", "a/c7/b/#", "a/#", "+/c7"] {
        assert!(client.may_subscribe(filter), "{filter}");
    }
    for filter in ["a/c8", "+/c8/#", "c7", "a", "$SYS/c7/#", "$SYS/#"] {
        assert!(!client.may_subscribe(filter), "{filter}");
    }
}
