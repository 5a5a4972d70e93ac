// The client library of the system we replace, told what to do by lines of JSON on stdin.
import { createInterface } from "node:readline";
import { Client } from "rpc-websockets";

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
let client;

const does = {
  open(url) {
    client = new Client(url, { reconnect: false });
    client.on("open", () => say({ open: true }));
    client.on("close", (code, reason) => say({ close: [code, String(reason)] }));
    client.on("error", (error) => say({ refused: error.message }));
  },
  call: ([method, params]) =>
    client.call(method, params).then(
      (result) => say({ result: [result] }),
      (error) => say({ error }),
    ),
  subscribe(event) {
    client.on(event, (params) => say({ [event]: params }));
    return client.subscribe(event).then((result) => say({ subscribed: result }));
  },
  notify: ([method, params]) => client.notify(method, params),
  // As a line that breaks: no close frame.
  cut: () => client.socket.terminate(),
};

for await (const line of createInterface({ input: process.stdin }))
  for (const [verb, what] of Object.entries(JSON.parse(line))) await does[verb](what);
