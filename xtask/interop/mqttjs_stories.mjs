// The stories that MQTT.js tells about a broker: `node mqttjs_stories.mjs HOST PORT`.
//
// Every story prints one line, `ok   MQTT.js VERSION: STORY` or `FAIL MQTT.js VERSION: STORY: WHY`.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";

import mqtt from "mqtt";

const VERSIONS = {
  "3.1": { protocolId: "MQIsdp", protocolVersion: 3 },
  "3.1.1": { protocolId: "MQTT", protocolVersion: 4 },
  "5.0": { protocolId: "MQTT", protocolVersion: 5 },
};
const PATIENCE_MILLIS = 10_000;
const MANY = Array.from({ length: 20 }, (_, number) => `message ${number}`);

/** Fails unless `promise` is settled in time. */
function inTime(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    const why = new Error(`${what}: nothing within ${PATIENCE_MILLIS} ms`);
    timer = setTimeout(() => reject(why), PATIENCE_MILLIS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** One client whose messages wait in a queue, so that a story reads from top to bottom. */
class Peer {
  #messages = [];
  #waiting = [];

  static async connect(story, clientId, { clean = true, will, acknowledge = true } = {}) {
    const peer = new Peer();
    const isV5 = story.version === "5.0";
    peer.client = mqtt.connect(`mqtt://${story.host}:${story.port}`, {
      ...VERSIONS[story.version],
      clientId,
      clean,
      will,
      reconnectPeriod: 0,
      ...(isV5 ? { properties: { sessionExpiryInterval: clean ? 0 : 300 } } : {}),
    });
    story.peers.push(peer);
    // The PUBACK is sent once this function calls back.
    if (!acknowledge) peer.client.handleMessage = () => {};
    peer.client.on("message", (_topic, _payload, packet) => peer.#take(packet));
    const connack = new Promise((resolve, reject) => {
      peer.client.once("connect", resolve);
      peer.client.on("error", reject);
    });
    peer.sessionPresent = (await inTime("the CONNACK", connack)).sessionPresent;
    return peer;
  }

  #take(packet) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(packet);
    else this.#messages.push(packet);
  }

  next() {
    const queued = this.#messages.shift();
    if (queued) return queued;
    return inTime("a message", new Promise((resolve) => this.#waiting.push(resolve)));
  }

  async nextText() {
    return (await this.next()).payload.toString();
  }

  async subscribe(topic, qos) {
    const granted = await inTime("the SUBACK", this.client.subscribeAsync(topic, { qos }));
    assert.deepEqual(granted.map((grant) => grant.qos), [qos], "the SUBACK");
  }

  /** Publishes and, for QoS 1 and 2, waits for the acknowledgement. */
  publish(topic, payload, options = { qos: 1 }) {
    return inTime("the acknowledgement", this.client.publishAsync(topic, payload, options));
  }

  /** Disconnects in good order. */
  leave() {
    return inTime("the end", this.client.endAsync());
  }

  /** Closes the connection without a DISCONNECT, if it is still open. */
  async vanish() {
    this.client.stream.destroy();
    await this.client.endAsync(true);
  }
}

/** What the tellers below share: the broker, names of their own, and the peers to clean up. */
class Story {
  constructor(host, port, version) {
    Object.assign(this, { host, port, version, peers: [] });
    this.run = randomBytes(4).toString("hex");
    this.base = `mqttjs/${this.run}`;
  }

  // MQTT 3.1 allows 23 characters for the whole client id.
  peer(name, how) {
    return Peer.connect(this, `${this.run}-${name}`, how);
  }

  async end() {
    await Promise.all(this.peers.map((peer) => peer.vanish()));
  }
}

const roundTrip = (qos) => async (story) => {
  const [receiver, sender] = [await story.peer("receiver"), await story.peer("sender")];
  await receiver.subscribe(story.base, qos);
  for (const payload of ["hello", "", "end"]) {
    await sender.publish(story.base, payload, { qos });
    const message = await receiver.next();
    const got = [message.topic, message.payload.toString(), message.qos, message.retain];
    assert.deepEqual(got, [story.base, payload, qos, false], "the message");
  }
};

async function retained(story) {
  const sender = await story.peer("sender");
  await sender.publish(story.base, "kept", { qos: 1, retain: true });
  const early = await story.peer("early");
  await early.subscribe(story.base, 1);
  const message = await early.next();
  assert.deepEqual([message.payload.toString(), message.retain], ["kept", true], "retained");
  await sender.publish(story.base, "", { qos: 1, retain: true });
  assert.equal(await early.nextText(), "", "clearing is forwarded as it is");
  const late = await story.peer("late");
  await late.subscribe(story.base, 1);
  await sender.publish(story.base, "end");
  assert.equal(await late.nextText(), "end", "the first message after clearing");
}

async function will(story) {
  const watcher = await story.peer("watcher");
  await watcher.subscribe(story.base, 1);
  const gone = { topic: story.base, payload: Buffer.from("gone"), qos: 1, retain: false };
  await (await story.peer("mortal", { will: gone })).vanish();
  const message = await watcher.next();
  assert.deepEqual([message.payload.toString(), message.qos], ["gone", 1], "the will");
  await (await story.peer("polite", { will: gone })).leave();
  await (await story.peer("sender")).publish(story.base, "end");
  assert.equal(await watcher.nextText(), "end", "what follows a DISCONNECT");
}

const offlineQueue = (qos) => async (story) => {
  const away = await story.peer("away", { clean: false });
  await away.subscribe(story.base, qos);
  await away.leave();
  const sender = await story.peer("sender");
  for (const payload of MANY) await sender.publish(story.base, payload, { qos });
  const back = await story.peer("away", { clean: false });
  // The CONNACK of MQTT 3.1 does not tell.
  if (story.version !== "3.1") assert.equal(back.sessionPresent, true, "session present");
  const got = [];
  while (got.length < MANY.length) got.push(await back.nextText());
  assert.deepEqual(got, MANY, "the queue");
  await sender.publish(story.base, "end", { qos });
  assert.equal(await back.nextText(), "end", "what follows the queue");
};

async function redelivery(story) {
  const deaf = await story.peer("deaf", { clean: false, acknowledge: false });
  await deaf.subscribe(story.base, 1);
  const sender = await story.peer("sender");
  await sender.publish(story.base, "again");
  const first = await deaf.next();
  assert.deepEqual([first.payload.toString(), first.dup], ["again", false], "the first delivery");
  await deaf.vanish();
  const back = await story.peer("deaf", { clean: false });
  const second = await back.next();
  const got = [second.payload.toString(), second.dup, second.messageId];
  assert.deepEqual(got, ["again", true, first.messageId], "the second delivery");
  await sender.publish(story.base, "end");
  assert.equal(await back.nextText(), "end", "what follows the acknowledgement");
}

async function wildcards(story) {
  const [receiver, sender] = [await story.peer("receiver"), await story.peer("sender")];
  await receiver.subscribe(`${story.base}/+/leaf`, 1);
  await receiver.subscribe(`${story.base}/deep/#`, 1);
  for (const topic of ["a/leaf", "a/other", "deep", "deep/1/2", "shallow/1/leaf", "end/leaf"]) {
    await sender.publish(`${story.base}/${topic}`, topic);
  }
  const got = [];
  while (got.length < 4) got.push(await receiver.nextText());
  assert.deepEqual(got, ["a/leaf", "deep", "deep/1/2", "end/leaf"], "the matches");
}

async function sharedSubscription(story) {
  const members = [await story.peer("one"), await story.peer("two")];
  for (const member of members) {
    await member.subscribe(`$share/group/${story.base}/work`, 1);
    await member.subscribe(`${story.base}/end`, 1);
  }
  const sender = await story.peer("sender");
  for (const payload of MANY) await sender.publish(`${story.base}/work`, payload);
  await sender.publish(`${story.base}/end`, "end");
  const got = [];
  for (const member of members) {
    for (let text = await member.nextText(); text !== "end"; text = await member.nextText()) {
      got.push(text);
    }
  }
  assert.deepEqual(got.sort(), [...MANY].sort(), "what the members got together");
}

async function properties(story) {
  const [receiver, sender] = [await story.peer("receiver"), await story.peer("sender")];
  await receiver.subscribe(story.base, 1);
  const sent = {
    userProperties: { colour: ["red", "blue"] },
    contentType: "text/plain",
    responseTopic: `${story.base}/answer`,
    correlationData: Buffer.from([0, 1, 255]),
  };
  await sender.publish(story.base, "hello", { qos: 1, properties: sent });
  const got = (await receiver.next()).properties;
  assert.deepEqual(got.userProperties.colour, sent.userProperties.colour, "user properties");
  assert.equal(got.contentType, sent.contentType, "content type");
  assert.equal(got.responseTopic, sent.responseTopic, "response topic");
  assert.deepEqual(got.correlationData, sent.correlationData, "correlation data");
}

const STORIES = {
  "qos 0": roundTrip(0),
  "qos 1": roundTrip(1),
  "qos 2": roundTrip(2),
  retained,
  will,
  "offline queue qos 1": offlineQueue(1),
  "offline queue qos 2": offlineQueue(2),
  redelivery,
  wildcards,
};
const STORIES_OF_5 = { "shared subscription": sharedSubscription, properties };

async function tell(host, port, version, name, teller) {
  const story = new Story(host, port, version);
  try {
    await teller(story);
    console.log(`ok   MQTT.js ${version}: ${name}`);
    return true;
  } catch (error) {
    console.log(`FAIL MQTT.js ${version}: ${name}: ${String(error.message).replace(/\s+/g, " ")}`);
    return false;
  } finally {
    await story.end();
  }
}

const [host, port] = process.argv.slice(2);
for (const version of Object.keys(VERSIONS)) {
  const stories = { ...STORIES, ...(version === "5.0" ? STORIES_OF_5 : {}) };
  for (const [name, teller] of Object.entries(stories)) {
    if (!(await tell(host, Number(port), version, name, teller))) process.exitCode = 1;
  }
}
