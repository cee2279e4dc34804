"""The stories that paho for Python tells about a broker: `paho_stories.py HOST PORT`.

Every story prints one line, `ok   paho VERSION: STORY` or `FAIL paho VERSION: STORY: WHY`.
"""

import contextlib
import queue
import secrets
import socket
import sys
import threading

from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

VERSIONS = {"3.1": paho.MQTTv31, "3.1.1": paho.MQTTv311, "5.0": paho.MQTTv5}
PATIENCE_SECS = 10
MANY = [f"message {number}" for number in range(20)]


class Peer:
    """One client whose callbacks fill queues, so that a story reads from top to bottom."""

    def __init__(self, story, client_id, clean=True, manual_ack=False, will=None):
        self.version = story.version
        self.messages = queue.Queue()
        self.subscribed = queue.Queue()
        self.connected = queue.Queue()
        self.disconnected = threading.Event()
        is_v5 = self.version == "5.0"
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=VERSIONS[self.version],
            manual_ack=manual_ack,
            reconnect_on_failure=False,
            **({} if is_v5 else {"clean_session": clean}),
        )
        self.client.on_connect = lambda _c, _u, flags, code, _p: self.connected.put((flags, code))
        self.client.on_disconnect = lambda *_: self.disconnected.set()
        self.client.on_message = lambda _client, _user, message: self.messages.put(message)
        self.client.on_subscribe = lambda _c, _u, _id, codes, _p: self.subscribed.put(codes)
        if will:
            self.client.will_set(*will)
        how = {}
        if is_v5:
            how["clean_start"] = clean
            how["properties"] = Properties(PacketTypes.CONNECT)
            how["properties"].SessionExpiryInterval = 0 if clean else 300
        self.client.connect(story.host, story.port, keepalive=60, **how)
        self.client.loop_start()
        flags, code = self.connected.get(timeout=PATIENCE_SECS)
        expect("the CONNACK", code.is_failure, False)
        self.session_present = flags.session_present
        story.peers.append(self)

    def subscribe(self, topic, qos):
        if self.version == "5.0":
            self.client.subscribe(topic, options=SubscribeOptions(qos=qos))
        else:
            self.client.subscribe(topic, qos)
        codes = self.subscribed.get(timeout=PATIENCE_SECS)
        expect("the SUBACK", [code.value for code in codes], [qos])

    def publish(self, topic, payload, qos=1, retain=False, properties=None):
        """Publishes and, for QoS 1 and 2, waits for the acknowledgement."""
        sent = self.client.publish(topic, payload, qos, retain, properties)
        sent.wait_for_publish(PATIENCE_SECS)
        expect("the publish is done", sent.is_published(), True)

    def next(self):
        try:
            return self.messages.get(timeout=PATIENCE_SECS)
        except queue.Empty:
            raise AssertionError(f"no message came within {PATIENCE_SECS} s") from None

    def next_text(self):
        return self.next().payload.decode()

    def leave(self):
        """Disconnects in good order."""
        self.client.disconnect()
        self.disconnected.wait(PATIENCE_SECS)
        self.client.loop_stop()

    def vanish(self):
        """Closes the connection without a DISCONNECT, if it is still open."""
        connection = self.client.socket()
        if connection:
            with contextlib.suppress(OSError):  # The broker may have closed it just now.
                connection.shutdown(socket.SHUT_RDWR)
            self.disconnected.wait(PATIENCE_SECS)
        self.client.loop_stop()


class Story:
    """What the tellers below share: the broker, names of their own, and the peers to clean up."""

    def __init__(self, host, port, version):
        self.host, self.port, self.version = host, port, version
        self.run = secrets.token_hex(4)
        self.base = f"paho/{self.run}"
        self.peers = []

    def peer(self, name, **how):
        # MQTT 3.1 allows 23 characters for the whole client id.
        return Peer(self, f"{self.run}-{name}", **how)

    def end(self):
        for peer in self.peers:
            peer.vanish()


def expect(what, actual, expected):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def round_trip(qos):
    def tell(story):
        receiver, sender = story.peer("receiver"), story.peer("sender")
        receiver.subscribe(story.base, qos)
        for payload in ["hello", "", "end"]:
            sender.publish(story.base, payload, qos)
            message = receiver.next()
            got = (message.topic, message.payload.decode(), message.qos, message.retain)
            expect("the message", got, (story.base, payload, qos, False))

    return tell


def retained(story):
    sender = story.peer("sender")
    sender.publish(story.base, "kept", retain=True)
    early = story.peer("early")
    early.subscribe(story.base, 1)
    message = early.next()
    expect("the retained message", (message.payload, message.retain), (b"kept", True))
    sender.publish(story.base, "", retain=True)
    expect("clearing is forwarded as it is", early.next_text(), "")
    late = story.peer("late")
    late.subscribe(story.base, 1)
    sender.publish(story.base, "end")
    expect("the first message after clearing", late.next_text(), "end")


def will(story):
    watcher = story.peer("watcher")
    watcher.subscribe(story.base, 1)
    story.peer("mortal", will=(story.base, "gone", 1, False)).vanish()
    message = watcher.next()
    expect("the will", (message.payload, message.qos), (b"gone", 1))
    story.peer("polite", will=(story.base, "never sent", 1, False)).leave()
    story.peer("sender").publish(story.base, "end")
    expect("what follows a DISCONNECT", watcher.next_text(), "end")


def offline_queue(qos):
    def tell(story):
        away = story.peer("away", clean=False)
        away.subscribe(story.base, qos)
        away.leave()
        sender = story.peer("sender")
        for payload in MANY:
            sender.publish(story.base, payload, qos)
        back = story.peer("away", clean=False)
        if story.version != "3.1":  # The CONNACK of MQTT 3.1 does not tell.
            expect("session present", back.session_present, True)
        expect("the queue", [back.next_text() for _ in MANY], MANY)
        sender.publish(story.base, "end", qos)
        expect("what follows the queue", back.next_text(), "end")

    return tell


def redelivery(story):
    deaf = story.peer("deaf", clean=False, manual_ack=True)
    deaf.subscribe(story.base, 1)
    sender = story.peer("sender")
    sender.publish(story.base, "again")
    first = deaf.next()
    expect("the first delivery", (first.payload, first.dup), (b"again", False))
    deaf.vanish()
    back = story.peer("deaf", clean=False, manual_ack=True)
    second = back.next()
    got = (second.payload, second.dup, second.mid)
    expect("the second delivery", got, (b"again", True, first.mid))
    back.client.ack(second.mid, second.qos)
    sender.publish(story.base, "end")
    expect("what follows the acknowledgement", back.next_text(), "end")


def wildcards(story):
    receiver, sender = story.peer("receiver"), story.peer("sender")
    receiver.subscribe(f"{story.base}/+/leaf", 1)
    receiver.subscribe(f"{story.base}/deep/#", 1)
    for topic in ["a/leaf", "a/other", "deep", "deep/1/2", "shallow/1/leaf", "end/leaf"]:
        sender.publish(f"{story.base}/{topic}", topic)
    got = [receiver.next_text() for _ in range(4)]
    expect("the matches", got, ["a/leaf", "deep", "deep/1/2", "end/leaf"])


def shared_subscription(story):
    members = [story.peer("one"), story.peer("two")]
    for member in members:
        member.subscribe(f"$share/group/{story.base}/work", 1)
        member.subscribe(f"{story.base}/end", 1)
    sender = story.peer("sender")
    for payload in MANY:
        sender.publish(f"{story.base}/work", payload)
    sender.publish(f"{story.base}/end", "end")
    got = []
    for member in members:
        got.extend(iter(member.next_text, "end"))
    expect("what the members got together", sorted(got), sorted(MANY))


def properties(story):
    receiver, sender = story.peer("receiver"), story.peer("sender")
    receiver.subscribe(story.base, 1)
    sent = Properties(PacketTypes.PUBLISH)
    sent.UserProperty = [("colour", "red"), ("colour", "blue")]
    sent.ContentType = "text/plain"
    sent.ResponseTopic = f"{story.base}/answer"
    sent.CorrelationData = b"\x00\x01\xff"
    sender.publish(story.base, "hello", properties=sent)
    got = receiver.next().properties
    expect("the user properties", got.UserProperty, sent.UserProperty)
    expect("the content type", got.ContentType, sent.ContentType)
    expect("the response topic", got.ResponseTopic, sent.ResponseTopic)
    expect("the correlation data", got.CorrelationData, sent.CorrelationData)


STORIES = {
    "qos 0": round_trip(0),
    "qos 1": round_trip(1),
    "qos 2": round_trip(2),
    "retained": retained,
    "will": will,
    "offline queue qos 1": offline_queue(1),
    "offline queue qos 2": offline_queue(2),
    "redelivery": redelivery,
    "wildcards": wildcards,
}
STORIES_OF_5 = {"shared subscription": shared_subscription, "properties": properties}


def tell(host, port, version, name, teller):
    story = Story(host, port, version)
    try:
        teller(story)
    except Exception as error:  # Whatever goes wrong is the result of this story alone.
        why = " ".join(str(error).split()) or repr(error)
        print(f"FAIL paho {version}: {name}: {why}", flush=True)
        return False
    finally:
        story.end()
    print(f"ok   paho {version}: {name}", flush=True)
    return True


def main(host, port):
    results = []
    for version in VERSIONS:
        stories = STORIES | (STORIES_OF_5 if version == "5.0" else {})
        results += [tell(host, port, version, name, story) for name, story in stories.items()]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
