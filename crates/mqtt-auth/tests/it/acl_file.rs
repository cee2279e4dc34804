use mqtt_auth::{AclFile, Action, AllowAll, Authorizer, Identity, LoadError, Subject};
use mqtt_topics::{SubscriptionFilter, TopicFilterRef, TopicNameRef};

use crate::scratch::Scratch;

/// A client that asks for permission.
pub(crate) struct Client<'a> {
    rules: &'a dyn Authorizer,
    client_id: &'a str,
    identity: Identity,
}

impl<'a> Client<'a> {
    pub(crate) fn user(rules: &'a dyn Authorizer, name: &str) -> Self {
        Self { rules, client_id: "c", identity: Identity::user(name) }
    }

    pub(crate) fn anonymous(rules: &'a dyn Authorizer) -> Self {
        Self { rules, client_id: "c", identity: Identity::anonymous() }
    }

    pub(crate) fn with_id(self, client_id: &'a str) -> Self {
        Self { client_id, ..self }
    }

    pub(crate) fn may_publish(&self, topic: &str) -> bool {
        let topic = TopicNameRef::new(topic).unwrap();
        let live = self.may(Action::Publish { topic, retain: false, qos: 0 });
        let retained = self.may(Action::Publish { topic, retain: true, qos: 2 });
        assert_eq!(live, retained, "rules are about topics alone");
        live
    }

    pub(crate) fn may_receive(&self, topic: &str) -> bool {
        self.may(Action::Receive { topic: TopicNameRef::new(topic).unwrap() })
    }

    pub(crate) fn may_subscribe(&self, filter: &str) -> bool {
        self.may(Action::Subscribe { filter: TopicFilterRef::new(filter).unwrap() })
    }

    fn may(&self, action: Action<'_>) -> bool {
        let who = Subject { client_id: self.client_id, identity: &self.identity };
        self.rules.authorize(who, action)
    }
}

pub(crate) fn rules(text: &str) -> AclFile {
    AclFile::parse(text).unwrap()
}

/// The example that mosquitto comes with.
#[test]
fn mosquittos_example() {
    let rules = rules(
        "# This affects access control for clients with no username.\n\
         topic read $SYS/#\n\n\
         # This only affects clients with username \"roger\".\n\
         user roger\n\
         topic foo/bar\n\n\
         # This affects all clients.\n\
         pattern write $SYS/broker/connection/%c/state\n",
    );
    let nobody = Client::anonymous(&rules);
    assert!(nobody.may_receive("$SYS/broker/uptime") && !nobody.may_publish("$SYS/broker/uptime"));
    assert!(!nobody.may_receive("foo/bar"));

    let roger = Client::user(&rules, "roger");
    assert!(roger.may_receive("foo/bar") && roger.may_publish("foo/bar"));
    assert!(!roger.may_receive("$SYS/broker/uptime"), "the first section is not for users");

    for client in [nobody, roger] {
        let client = client.with_id("bridge-7");
        assert!(client.may_publish("$SYS/broker/connection/bridge-7/state"));
        assert!(!client.may_publish("$SYS/broker/connection/bridge-8/state"));
    }
}

/// The example of mosquitto.conf(5).
#[test]
fn mosquittos_manual() {
    let rules = rules("user someone\npattern write sensor/%u/data");
    let ann = Client::user(&rules, "ann");
    assert!(ann.may_publish("sensor/ann/data"), "patterns ignore the user line above");
    assert!(!ann.may_publish("sensor/bob/data"));
    assert!(!ann.may_receive("sensor/ann/data"));
}

#[test]
fn an_empty_file_denies_everything_g01() {
    for text in ["", "\n \n\t\n", "# nothing\n#topic #\n", "user alice\n"] {
        let rules = rules(text);
        for client in [Client::anonymous(&rules), Client::user(&rules, "alice")] {
            assert!(!client.may_publish("a") && !client.may_receive("a"), "{text:?}");
            assert!(!client.may_subscribe("a") && !client.may_subscribe("#"), "{text:?}");
        }
    }
}

#[test]
fn access_words_mean_what_they_say() {
    let cases = [
        ("topic read a", true, false),
        ("topic write a", false, true),
        ("topic readwrite a", true, true),
        ("topic a", true, true),
        ("topic deny a", false, false),
        ("\ttopic\tread \t a \r", true, false),
    ];
    for (text, may_read, may_write) in cases {
        let rules = rules(text);
        let client = Client::anonymous(&rules);
        assert_eq!(client.may_receive("a"), may_read, "{text}");
        assert_eq!(client.may_subscribe("a"), may_read, "{text}");
        assert_eq!(client.may_publish("a"), may_write, "{text}");
    }
}

#[test]
fn names_and_filters_may_contain_spaces() {
    let rules = rules("user Jane Doe  \ntopic read living room/the lamp\n");
    assert!(Client::user(&rules, "Jane Doe").may_receive("living room/the lamp"));
    assert!(!Client::user(&rules, "Jane").may_receive("living room/the lamp"));
}

#[test]
fn a_user_may_have_several_sections_and_none_is_shared() {
    let rules = rules("user a\ntopic one\nuser b\ntopic two\nuser a\ntopic three");
    let (a, b) = (Client::user(&rules, "a"), Client::user(&rules, "b"));
    assert!(a.may_publish("one") && !a.may_publish("two") && a.may_publish("three"));
    assert!(!b.may_publish("one") && b.may_publish("two") && !b.may_publish("three"));
    assert!(!Client::user(&rules, "A").may_publish("one"));
    assert!(!Client::anonymous(&rules).may_publish("one"));
}

#[test]
fn deny_wins_wherever_it_stands() {
    let orders = [
        "user u\ntopic deny a/secret\ntopic a/#",
        "user u\ntopic a/#\ntopic deny a/secret",
        "pattern deny a/secret\nuser u\ntopic a/#",
        "user u\ntopic a/#\npattern deny a/secret",
        "pattern a/#\nuser u\ntopic deny a/secret",
    ];
    for text in orders {
        let rules = rules(text);
        let client = Client::user(&rules, "u");
        assert!(client.may_publish("a/b") && client.may_receive("a/b"), "{text}");
        assert!(!client.may_publish("a/secret"), "{text}");
        assert!(!client.may_receive("a/secret"), "{text}");
    }
}

#[test]
fn wildcards_in_rules_do_not_reach_dollar_topics() {
    let rules = rules("topic #\ntopic +/+");
    let client = Client::anonymous(&rules);
    assert!(client.may_receive("a/b"));
    assert!(!client.may_receive("$SYS/x") && !client.may_publish("$SYS/x"));
    assert!(!client.may_subscribe("$SYS/#") && !client.may_subscribe("$SYS/x"));
}

#[test]
fn a_broad_filter_is_granted_and_brings_only_what_may_be_read_d11_d13() {
    let rules =
        rules("user u\ntopic read home/+/warm\ntopic deny home/attic/warm\ntopic write out");
    let client = Client::user(&rules, "u");
    for filter in ["#", "+/#", "+/+/+", "home/#", "home/+/warm", "home/attic/#", "home/hall/warm"] {
        assert!(client.may_subscribe(filter), "{filter}");
    }
    for filter in ["+", "+/+", "$SYS/#", "out", "home/attic/warm", "away/#", "home/hall/cold"] {
        assert!(!client.may_subscribe(filter), "{filter}");
    }
    assert!(client.may_receive("home/hall/warm"));
    for topic in ["home/attic/warm", "out", "$SYS/broker/uptime", "home/hall", "a"] {
        assert!(!client.may_receive(topic), "{topic}");
    }
}

#[test]
fn a_filter_within_a_deny_rule_is_refused() {
    let rules = rules("user u\ntopic read #\ntopic deny secret/#");
    let client = Client::user(&rules, "u");
    for filter in ["secret/#", "secret", "secret/a", "secret/+/b"] {
        assert!(!client.may_subscribe(filter), "{filter}");
    }
    for filter in ["#", "+/a", "public/#"] {
        assert!(client.may_subscribe(filter), "{filter}");
    }
}

#[test]
fn shared_subscriptions_are_judged_by_their_inner_filter_d08() {
    let rules = rules("user u\ntopic read public/#");
    let client = Client::user(&rules, "u");
    let may_share = |text: &str| {
        let inner = SubscriptionFilter::parse(text).unwrap().filter;
        client.may_subscribe(inner.as_str())
    };
    assert!(may_share("$share/g/public/news"));
    assert!(!may_share("$share/g/secret"));
    assert!(!may_share("$share/public/secret"));
}

#[test]
fn each_filter_is_judged_alone_d10() {
    let rules = rules("topic read a\ntopic read c");
    let client = Client::anonymous(&rules);
    assert_eq!(["a", "b", "c"].map(|filter| client.may_subscribe(filter)), [true, false, true]);
}

#[test]
fn publishing_is_denied_unless_a_rule_permits_it_c29() {
    let rules = rules("user u\ntopic read a/#\ntopic write b");
    let client = Client::user(&rules, "u");
    assert!(client.may_publish("b"));
    assert!(!client.may_publish("a/b") && !client.may_publish("b/c") && !client.may_publish("B"));
}

#[test]
fn a_malformed_line_refuses_the_file_g02() {
    let cases = [
        ("topics a", "unknown keyword \"topics\""),
        ("Topic a", "unknown keyword"),
        ("user", "without a name"),
        ("user   ", "without a name"),
        ("topic", "`topic` without a topic filter"),
        ("topic read", "`topic read` without"),
        ("pattern deny ", "`pattern deny` without"),
        ("topic all a", "unknown access \"all\""),
        ("topic room one", "unknown access"),
        ("topic a/#/b", "invalid topic filter"),
        ("topic read a+", "invalid topic filter"),
        ("topic a\0b", "invalid topic filter"),
        ("topic deny $share/g/a", "shared filter"),
        ("pattern dev-%c/x", "beside other text"),
        ("pattern a/%u%c", "beside other text"),
        ("\u{feff}topic a", "unknown keyword"),
    ];
    for (line, expected) in cases {
        let error = AclFile::parse(&format!("topic a\n\n{line}\ntopic b")).unwrap_err();
        assert!(matches!(error, LoadError::Line { line: 3, .. }), "{line}: {error:?}");
        assert!(error.to_string().starts_with("line 3: "), "{error}");
        assert!(error.to_string().contains(expected), "{line}: {error}");
        assert!(error.to_string().contains("; "), "it says what to do: {error}");
    }
}

#[test]
fn a_reload_brings_all_of_the_new_or_keeps_all_of_the_old_d12_g02_g03() {
    let scratch = Scratch::file("topic read a\ntopic read b");
    let rules = AclFile::load(scratch.path()).unwrap();
    let client = Client::anonymous(&rules);
    let seen = || ["a", "b", "c"].map(|topic| client.may_receive(topic));
    assert_eq!((seen(), rules.generation()), ([true, true, false], 0));

    scratch.write("topic read c\ntopic read");
    let error = rules.reload().unwrap_err().to_string();
    assert!(error.contains("file") && error.contains("line 2"), "{error}");
    assert_eq!((seen(), rules.generation()), ([true, true, false], 0));

    std::fs::remove_file(scratch.path()).unwrap();
    assert!(matches!(rules.reload(), Err(LoadError::Read { .. })));
    assert_eq!((seen(), rules.generation()), ([true, true, false], 0));

    scratch.write("topic read b\ntopic read c");
    rules.reload().unwrap();
    assert_eq!((seen(), rules.generation()), ([false, true, true], 1), "a right is revoked");

    scratch.write("");
    rules.reload().unwrap();
    assert_eq!((seen(), rules.generation()), ([false; 3], 2));
}

#[test]
fn what_is_no_file_cannot_be_loaded() {
    let nothing = Scratch::nothing();
    assert!(matches!(AclFile::load(nothing.path()), Err(LoadError::Read { .. })));
    assert!(matches!(rules("").reload(), Err(LoadError::NoFile)));
}

#[test]
fn a_shared_authorizer_is_the_same_one() {
    let scratch = Scratch::file("");
    let file = std::sync::Arc::new(AclFile::load(scratch.path()).unwrap());
    let handed_over: Box<dyn Authorizer> = Box::new(std::sync::Arc::clone(&file));
    scratch.write("topic a");
    file.reload().unwrap();
    assert_eq!(handed_over.generation(), 1);
    assert!(Client::anonymous(&*handed_over).may_publish("a"));
}

#[test]
fn allow_all_does() {
    let client = Client::anonymous(&AllowAll);
    assert!(client.may_publish("$SYS/x") && client.may_receive("a") && client.may_subscribe("#"));
    assert_eq!(AllowAll.generation(), 0);
}

#[cfg(unix)]
#[test]
fn a_file_that_everybody_can_write_is_refused_at_each_load() {
    let scratch = Scratch::file("topic read a");
    scratch.set_mode(0o644);
    let rules = AclFile::load(scratch.path()).unwrap();
    scratch.set_mode(0o646);
    assert!(matches!(AclFile::load(scratch.path()), Err(LoadError::Exposed { mode: 0o646, .. })));
    assert!(matches!(rules.reload(), Err(LoadError::Exposed { .. })));
    assert_eq!(rules.generation(), 0);
}
