// ---- memory.js: what is kept for backward ----
function drawMemory(state) {}
