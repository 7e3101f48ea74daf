// Numbers and times of a chart, as a person reads them.

import { number } from "../format";
import type { Picture } from "./points";
import { isTime } from "./range";

const precise = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 12 });

export function value(of: number | null | undefined): string {
  if (of === null || of === undefined) return "";
  const size = Math.abs(of);
  return size !== 0 && (size >= 1e15 || size < 1e-6) ? of.toExponential(5) : precise.format(of);
}

/** Say where on the x axis something is. */
export function place(x: number, picture: Picture): string {
  if (picture.role === "text") return picture.categories[Math.round(x)] ?? "";
  if (picture.role === "row") return `row ${number(x)}`;
  return isTime(picture) ? time(x, picture.role === "date", zoneOf(picture)) : value(x);
}

/** The zone times are shown in: that of who looks for instants, none for what has no zone. */
export function zoneOf({ role }: Pick<Picture, "role">): string {
  const has = role === "instant" || role === "result";
  return has ? Intl.DateTimeFormat().resolvedOptions().timeZone || "local time" : "";
}

/** Name the x axis, with the zone of its times. */
export function axis(picture: Picture): string {
  const zone = zoneOf(picture);
  const name = picture.role === "result" ? "time of the result" : picture.x;
  return zone ? `${name} (${zone})` : name;
}

function time(seconds: number, isDate: boolean, zone: string): string {
  const at = new Date(seconds * 1000);
  if (Number.isNaN(at.getTime())) return value(seconds);
  const options: Intl.DateTimeFormatOptions = {
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    ...(zone ? {} : { timeZone: "UTC" }),
  };
  const day = at.toLocaleDateString("sv-SE", options); // as ISO 8601 writes it
  if (isDate) return day;
  const parts: Intl.DateTimeFormatOptions = {
    hourCycle: "h23",
    ...(zone ? {} : { timeZone: "UTC" }),
  };
  const clock = at.toLocaleTimeString("sv-SE", { ...parts, timeStyle: "medium" });
  const fraction = seconds % 1 ? `.${String(at.getUTCMilliseconds()).padStart(3, "0")}` : "";
  return `${day} ${clock}${fraction}`;
}

/** Say what is drawn, for who cannot see it. */
export function summary(picture: Picture): string {
  const { kind, series, points } = picture;
  const about = picture.y ? ` of ${picture.y}` : "";
  const lines = series.length === 1 ? "1 series" : `${number(series.length)} series`;
  const scale = picture.log ? " on a logarithmic axis" : "";
  const over = picture.x || "time";
  return `${kind} chart${about}${scale} over ${over}: ${lines}, ${number(points)} points`;
}
