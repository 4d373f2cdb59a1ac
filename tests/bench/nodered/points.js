// Readings to points in one node with its batch: measured faster than a join node or a function for each
let held = context.get("held");
if (!held) context.set("held", (held = { points: [], timer: null }));

const flush = () => {
    clearTimeout(held.timer);
    const payload = held.points;
    held.points = [];
    held.timer = null;
    node.send({ payload }, false); // false: not a deep copy
};

const [, , measurement, device] = msg.topic.split("/");
const received = Date.now();
for (const reading of Array.isArray(msg.payload) ? msg.payload : [msg.payload]) {
    held.points.push({
        measurement,
        tags: { device: reading.device || device },
        fields: { received, ...reading.values },
        timestamp: reading.at,
    });
}
if (held.points.length >= BATCH) flush();
else if (!held.timer) held.timer = setTimeout(flush, FLUSH_MS);
