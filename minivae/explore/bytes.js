// What a page carries as base64 of little-endian bytes.
"use strict";

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

function floats(base64) {
  return new Float32Array(bytesOf(base64).buffer);
}
