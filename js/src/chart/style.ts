// The chart's look: what it has in common with the table, uPlot's own sheet kept inside, and the rest.

import plot from "uplot/dist/uPlot.min.css";
import { adopter } from "../adopt";
import theme from "../theme.css";
import css from "./style.css";

export const adopt = adopter(`${theme}.pgrt{${plot}}${css}`);
