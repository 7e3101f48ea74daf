// A host with a fake model: what the widget sends waits in `outbox`, what a test delivers is received.
const source = await (await fetch("widget.js")).text();
const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
const widget = (await import(url)).default;

const listeners = new Map();
const values = { title: "", height: 320 };
window.outbox = [];
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.sourceFile}:${event.lineNumber}`);
});

const model = {
  get: (name) => values[name],
  send: (content) => window.outbox.push(structuredClone(content)),
  on: (name, call) => listeners.set(name, [...(listeners.get(name) ?? []), call]),
  off: (name, call) => listeners.set(name, listeners.get(name).filter((one) => one !== call)),
};

window.deliver = (messages) => {
  for (const message of messages) for (const call of listeners.get("msg:custom") ?? []) call(message);
};

// Jupyter renders into an element that is not attached yet.
window.open_view = ({ shadow = false, ...options }) => {
  Object.assign(values, options);
  const el = document.createElement("div");
  const controller = new AbortController();
  const cleanup = widget.render({ model, el, signal: controller.signal });
  const place = document.createElement("div");
  document.getElementById("place").append(place);
  (shadow ? place.attachShadow({ mode: "open" }) : place).append(el);
  window.close_view = () => {
    controller.abort();
    cleanup();
    place.remove();
    return [...listeners.values()].flat().length;
  };
};
document.body.dataset.ready = "";
