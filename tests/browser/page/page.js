// A host with a fake model: what the widget sends waits in `outbox`, what a test delivers is received. With
// `open_kernel` the page has a kernel of its own, which answers at once.
import { Kernel } from "./kernel.js";

const module = new URLSearchParams(location.search).get("module") ?? "widget.js";
const source = await (await fetch(module)).text();
const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
const { default: start } = await import(url);

window.outbox = [];
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.sourceFile}:${event.lineNumber}`);
});

function make_model(options, send) {
  const listeners = new Map();
  const values = { title: "", height: 320, ...options };
  return {
    widget: start(),
    get: (name) => values[name],
    send,
    on: (name, call) => listeners.set(name, [...(listeners.get(name) ?? []), call]),
    off: (name, call) => listeners.set(name, listeners.get(name).filter((one) => one !== call)),
    receive: (message, buffers = []) => {
      for (const call of listeners.get("msg:custom") ?? []) call(message, buffers);
    },
    listening: () => [...listeners.values()].flat().length,
  };
}

// Jupyter renders into an element that is not attached yet.
function show(model, shadow) {
  const el = document.createElement("div");
  const controller = new AbortController();
  const cleanup = model.widget.render({ model, el, signal: controller.signal });
  const place = document.createElement("div");
  document.getElementById("place").append(place);
  (shadow ? place.attachShadow({ mode: "open" }) : place).append(el);
  return () => {
    controller.abort();
    cleanup();
    place.remove();
    return model.listening();
  };
}

let model;
window.deliver = (messages) => {
  for (const { buffers, ...message } of messages) {
    const parts = (buffers ?? []).map(
      (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer),
    );
    model.receive(message, parts);
  }
};

window.open_view = ({ shadow = false, again = false, ...options }) => {
  if (!again) model = make_model(options, (content) => window.outbox.push(structuredClone(content)));
  window.close_view = show(model, shadow);
};

window.open_kernel = ({ rows = 1000, shadow = false, busy = false, ...options }) => {
  const made = make_model(options, (content) => {
    window.outbox.push(structuredClone(content));
    if (!window.busy) setTimeout(() => kernel.take(structuredClone(content)), 1);
  });
  const kernel = new Kernel(rows, (message) => made.receive(structuredClone(message)));
  window.busy = busy;
  window.kernel = kernel;
  window.close_view = show(made, shadow);
};
document.body.dataset.ready = "";
