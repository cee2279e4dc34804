//! MQTT topic names and filters, the subscription tree and the retained-message tree.
//!
//! A broker asks two questions of topics, millions of times: which subscriptions match this
//! name ([`SubscriptionTree`]), and which names that are stored does this filter match
//! ([`RetainedTree`])? This crate answers both, with no clock, no thread and no packet in
//! sight, so that a client, a bridge or a test can use it as well.
//!
//! ```
//! use mqtt_topics::{SubscriptionFilter, SubscriptionTree, TopicFilterRef, TopicNameRef};
//!
//! // One pair.
//! let filter = TopicFilterRef::new("sport/+/score/#")?;
//! assert!(filter.matches(TopicNameRef::new("sport/tennis/score")?));
//!
//! // What a SUBSCRIBE packet names.
//! let subscription = SubscriptionFilter::parse("$share/readers/sport/#")?;
//! assert_eq!(subscription.share.map(|name| name.as_str()), Some("readers"));
//!
//! // Many subscriptions at once: client 7 asked for quality of service 1.
//! let mut tree = SubscriptionTree::new();
//! tree.insert(subscription.filter, 7, 1);
//! tree.matches(TopicNameRef::new("sport/chess")?, &mut |client, qos| {
//!     assert_eq!((*client, *qos), (7, 1));
//! });
//!
//! // An error says what is wrong, where, and which statement of the standard it breaks.
//! let error = TopicFilterRef::new("sport/ten+").unwrap_err();
//! assert_eq!(error.to_string(), "the '+' at byte 9 is not a whole level");
//! assert_eq!(error.statement(), "MQTT-4.7.1-2");
//! # Ok::<(), mqtt_topics::TopicError>(())
//! ```
//!
//! # Rules
//! - A name or filter is 1 to 65,535 bytes of UTF-8 without U+0000 `[MQTT-4.7.3-1]`
//!   `[MQTT-4.7.3-2]` `[MQTT-4.7.3-3]`. Slashes cut it into levels, which may be empty:
//!   `/a` has two, and is not `a`.
//! - `+` stands for one level and `#`, at the end, for the level before it and all that
//!   follow; both only as whole levels, and only in filters `[MQTT-4.7.0-1]`
//!   `[MQTT-4.7.1-1]` `[MQTT-4.7.1-2]`. (MQTT 3.1.1 numbers these three rules 4.7.1-1 to -3.)
//! - A filter that begins with a wildcard does not match a name that begins with `$`
//!   `[MQTT-4.7.2-1]`.
//! - Bytes are compared as they are: nothing is normalised `[MQTT-4.7.3-4]`.
//! - `$share/NAME/FILTER` is a shared subscription `[MQTT-4.8.2-1]` `[MQTT-4.8.2-2]`; for the
//!   matching, only FILTER counts.
//!
//! # Limits
//! - [`MAX_LEVELS`] levels, unless a `with_limit` constructor is told otherwise. Nothing in
//!   here recurses, so that a higher limit costs time but no stack.
//! - The types `…Ref` borrow a checked text, the types without it own one; trees take the
//!   former, so that no tree ever holds an unchecked text.
//! - Hash tables are seeded at random, against chosen collisions. No result or order depends
//!   on the seed.
//! - The trees do not bound how much they hold: `len` and `node_count` are there to do it.

mod error;
mod exact_filters;
mod filter;
mod hash_index;
mod label;
mod level;
mod name;
mod ordered_children;
mod retained_tree;
mod scan;
mod share;
mod slab;
mod subscribers;
mod subscription_tree;
mod topic_levels;
mod wildcard_trie;

pub use error::TopicError;
pub use filter::{TopicFilter, TopicFilterRef};
pub use level::MAX_LEVELS;
pub use name::{TopicName, TopicNameRef};
pub use retained_tree::RetainedTree;
pub use scan::ScanEnd;
pub use share::{ShareName, SubscriptionFilter};
pub use subscription_tree::SubscriptionTree;
