//! MQTT topic names and filters, the subscription tree and the retained-message tree.
