//! Who is an MQTT client, and what may it do.
