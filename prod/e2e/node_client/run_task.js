// Runs one command with a framework library that we did not write (npm's
// mesos-framework) and exits with 0 when its task has finished.
//
//   node run_task.js IP PORT COMMAND
"use strict";

const { Scheduler, Mesos } = require("mesos-framework");

const mesos = Mesos.getMesos();
const [ip, port, command] = process.argv.slice(2);

const scheduler = new Scheduler({
  masterUrl: ip,
  port: Number(port),
  frameworkName: "node-client",
  masterConnectionTimeout: 30,
  logging: { path: process.env.TEST_TMPDIR || "/tmp", fileName: "node.log" },
  tasks: {
    hello: {
      priority: 1,
      instances: 1,
      commandInfo: new mesos.CommandInfo(null, null, true, command, null, null),
      resources: { cpus: 0.1, mem: 32, ports: 1, disk: 0 },
    },
  },
});

// A hung master must not hang the test.
setTimeout(() => {
  console.error("no final state within 60 s");
  process.exit(2);
}, 60000);

scheduler.on("ready", () => scheduler.subscribe());
scheduler.on("subscribed", ({ frameworkId, mesosStreamId }) =>
  console.log(`SUBSCRIBED ${frameworkId} stream ${mesosStreamId}`));
let finished = false;
scheduler.on("error", (error) => {
  // Its own teardown ends the event stream, which the library reports.
  if (finished) return;
  console.error("ERROR", error.message);
  process.exit(1);
});
scheduler.on("update", ({ status }) => {
  console.log(`UPDATE ${status.task_id.value} ${status.state}`);
  if (status.state === "TASK_FINISHED") {
    finished = true;
    // The library acknowledges on the same event; give its request the time
    // to leave before the process ends.
    scheduler.once("sent_acknowledge", () => {
      scheduler.once("sent_teardown", () => process.exit(0));
      scheduler.teardown();
    });
  } else if (/FAILED|LOST|ERROR|KILLED|DROPPED|GONE/.test(status.state)) {
    process.exit(1);
  }
});
