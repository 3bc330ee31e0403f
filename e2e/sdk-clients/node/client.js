// Makes every core call of the SDK with Agones' published Node client, and checks what comes back.
// AGONES_SDK_GRPC_PORT says where the SDK server is. Exit code 0 means that all went well.
"use strict";

const assert = require("node:assert/strict");
const AgonesSDK = require("@google-cloud/agones-sdk");

/** Longest wait for a change to be seen, in milliseconds. */
const PATIENCE = 10_000;

/** Remembers what the watch brings, and waits for what it will bring. */
class Watch {
	constructor(sdk) {
		this.last = undefined;
		this.waiting = [];
		const fail = (error) => this.waiting.forEach(({ reject }) => reject(error));
		sdk.watchGameServer((server) => {
			this.last = server;
			this.waiting = this.waiting.filter(({ check, resolve }) => {
				if (!check(server)) return true;
				resolve(server);
				return false;
			});
		}, fail);
	}

	until(what, check) {
		if (this.last !== undefined && check(this.last)) return Promise.resolve(this.last);
		return new Promise((resolve, reject) => {
			const late = () => reject(new Error(`waited for ${what}, saw ${JSON.stringify(this.last)}`));
			const timer = setTimeout(late, PATIENCE);
			const done = (settle) => (value) => {
				clearTimeout(timer);
				settle(value);
			};
			this.waiting.push({ check, resolve: done(resolve), reject: done(reject) });
		});
	}

	state(state) {
		return this.until(state, (server) => server.status.state === state);
	}
}

const entry = (pairs, suffix) => pairs.find(([key]) => key.endsWith(suffix))?.[1];

async function main() {
	const sdk = new AgonesSDK();
	await sdk.connect();
	const watch = new Watch(sdk);

	const first = await sdk.getGameServer();
	assert.ok(first.objectMeta.name, "the game server has no name");
	assert.ok(first.objectMeta.creationTimestamp > 0, "the game server has no creation time");
	await watch.until("the first message", (server) => server.objectMeta.name === first.objectMeta.name);

	sdk.health((error) => assert.ifError(error));
	await sdk.ready();
	await watch.state("Ready");
	await sdk.allocate();
	await watch.state("Allocated");
	assert.equal((await sdk.getGameServer()).status.state, "Allocated");

	const time = String(first.objectMeta.creationTimestamp);
	await sdk.setLabel("node-label", time);
	await watch.until("the label", (it) => entry(it.objectMeta.labelsMap, "sdk-node-label") === time);
	await sdk.setAnnotation("node-annotation", first.objectMeta.uid);
	await watch.until(
		"the annotation",
		(it) => entry(it.objectMeta.annotationsMap, "sdk-node-annotation") === first.objectMeta.uid,
	);
	await assert.rejects(sdk.setLabel("not/a/key", "x"), { code: 3 });

	await sdk.reserve(1);
	await watch.state("Reserved");
	await watch.state("Ready");
	await sdk.shutdown();
	await watch.state("Shutdown");
	sdk.close();
}

main().then(
	() => {
		console.log("every call was answered as expected");
		// The client's alpha and beta connections stay open after close().
		process.exit(0);
	},
	(error) => {
		console.error(error);
		process.exit(1);
	},
);
