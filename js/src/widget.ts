// The entry. One module is loaded for each model; what a person set in a view is kept here, so that a notebook
// that draws its cells anew shows the table as it was.

import type { Model } from "./model";
import { type Memory, View } from "./view";

interface RenderProps {
  model: Model;
  el: HTMLElement;
  signal?: AbortSignal;
}

export default () => {
  const memory: Memory = { flashes: true };
  return {
    render({ model, el, signal }: RenderProps): () => void {
      const view = new View(model, el, memory);
      signal?.addEventListener("abort", () => view.close());
      return () => view.close();
    },
  };
};
