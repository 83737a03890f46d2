// ---- ablation.js: the answer without a part ----
function drawAblation() {}
