// The chart's entry. One module is loaded for each model; what a person set in a view is kept here, so that a
// notebook that draws its cells anew shows the chart as it was.

import { type Memory, View } from "./chart/view";
import type { Model } from "./model";

interface RenderProps {
  model: Model;
  el: HTMLElement;
  signal?: AbortSignal;
}

export default () => {
  const memory: Memory = { zoom: {}, hidden: [] };
  return {
    render({ model, el, signal }: RenderProps): () => void {
      const view = new View(model, el, memory);
      signal?.addEventListener("abort", () => view.close());
      return () => view.close();
    },
  };
};
