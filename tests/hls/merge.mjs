// Follows playlists as hls.js does: its own parser, and its own merge of what it knew with what is
// new. Argument: the bundle; on stdin [[text, …], …]; on stdout what it knows after each text.

import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

globalThis.self = globalThis;

const [bundle, copy] = process.argv.slice(2);
const source = readFileSync(bundle, "utf8");
// The merge is no export: it is the function that says this.
const before = source.slice(0, source.indexOf("[level-helper] Previous playlist missing"));
const names = [...before.matchAll(/function (\w+)\(\w+,\w+,\w+\)\{if\(\w+===\w+\)return;/g)];
const name = names.at(-1)[1];
writeFileSync(copy, `${source}\nexport { ${name} as mergeDetails };\n`);
const { M3U8Parser, mergeDetails } = await import(pathToFileURL(copy).href);

const quiet = { log() {}, warn() {}, error() {} };
const base = "https://example.org/hls/blue/stream.m3u8";

function known(fragment) {
  const key = fragment.levelkeys?.identity;
  return {
    sn: fragment.sn,
    name: fragment.relurl ?? "",
    cc: fragment.cc,
    map: fragment.initSegment?.relurl ?? "",
    key: key?.uri ?? "",
    iv: key ? Buffer.from(key.iv).toString("hex") : "",
    date: fragment.programDateTime,
    gap: Boolean(fragment.gap),
  };
}

function follow(texts) {
  let previous;
  return texts.map((text) => {
    const details = M3U8Parser.parseLevelPlaylist(text, base, 0, "main", 0, null);
    if (previous) mergeDetails(previous, details, quiet);
    previous = details;
    return {
      error: String(details.playlistParsingError ?? ""),
      failed: Boolean(details.deltaUpdateFailed),
      fragments: details.fragments.map(known),
      hint: details.fragmentHint ? known(details.fragmentHint) : null,
      parts: (details.partList ?? []).map((part) => [part.relurl, part.duration]),
      next: details.preloadHint?.URI ?? "",
      dates: Object.values(details.dateRanges).map((one) => [one.id, one.startDate.getTime(), one.duration]),
      live: details.live,
    };
  });
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(follow)));
