// The table's look, from Jupyter's theme variables, with fallbacks for pages that have none.

import { adopter } from "./adopt";
import grid from "./grid.css";
import lines from "./lines.css";
import modes from "./modes.css";
import popup from "./popup.css";
import theme from "./theme.css";

export const ROW = 27; // pixels, as in the sheet
export const HEADER = 42;

export const adopt = adopter(theme + lines + grid + popup + modes);
