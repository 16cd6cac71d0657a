"use strict";
/* Two showers side by side in three dimensions: voxels as boxes, far ones first, coloured by the logarithm of their
   energy. Drag or arrow keys turn both, + and - zoom. No library, no network. */
(function () {
  const source = document.getElementById("showers-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const views = Array.from(document.querySelectorAll("canvas.shower"));
  const buttons = Array.from(document.querySelectorAll("#shower-choice button"));
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const START = { yaw: -0.62, pitch: 0.38, zoom: 1 };
  const angle = Object.assign({}, START);
  let chosen = Math.min(3, data.pairs.length - 1), printing = false;

  /* viridis, nine points */
  const MAP = [[68,1,84],[71,44,122],[59,81,139],[44,113,142],[33,144,141],[39,173,129],[92,200,99],[170,220,50],[253,231,37]];
  function colour(t) {
    const x = Math.max(0, Math.min(0.9999, t)) * (MAP.length - 1), i = Math.floor(x), f = x - i;
    return MAP[i].map((c, k) => Math.round(c + f * (MAP[i + 1][k] - c)));
  }

  /* Where each voxel of the flat axis is: layer, first and second index. */
  const starts = [];
  let total = 0;
  data.layers.forEach(l => { starts.push(total); total += (l.first.length - 1) * (l.second.length - 1); });
  function layerOf(voxel) {
    let low = 0, high = starts.length - 1;
    while (low < high) { const mid = (low + high + 1) >> 1; if (starts[mid] <= voxel) low = mid; else high = mid - 1; }
    return low;
  }

  /* Lateral size: what holds nearly all energy of the showers shown. */
  const known = data.layers.every(l => l.z !== null);
  function lateral() {
    const found = [];
    data.pairs.forEach(p => [p.generated, p.reference].forEach(s => s.voxel.forEach((v, i) => {
      const k = layerOf(v), l = data.layers[k], n = l.second.length - 1, a = Math.floor((v - starts[k]) / n), b = (v - starts[k]) % n;
      const r = l.kind === "polar" ? l.second[b + 1]
        : Math.min(Math.max(Math.abs(l.first[a]), Math.abs(l.first[a + 1])), Math.max(Math.abs(l.second[b]), Math.abs(l.second[b + 1])));
      found.push([r, s.energy_MeV[i]]);
    })));
    found.sort((x, y) => x[0] - y[0]);
    const sum = found.reduce((t, x) => t + x[1], 0);
    let part = 0;
    const whole = Math.max(...data.layers.map(l => l.second[l.second.length - 1]));
    for (const [r, e] of found) { part += e; if (part > 0.97 * sum) return whole < 3.5 * r ? whole : 1.25 * r; }
    return whole;
  }
  const radius = lateral() || 1;
  const depth = known ? [data.layers[0].z[0], data.layers[data.layers.length - 1].z[1]] : [0, data.layers.length];
  const unit = 2 * radius, zScale = Math.max(1.1, Math.min(2.4, known ? (depth[1] - depth[0]) / unit : 2)) / (depth[1] - depth[0]);
  const fit = 2.4 / Math.hypot(1.414, (depth[1] - depth[0]) * zScale);
  const place = z => (z - (depth[0] + depth[1]) / 2) * zScale;
  const span = l => l.z === null ? [l.number + 0.04, l.number + 0.96] : l.z;

  function boxes(shower) {
    const out = [];
    shower.voxel.forEach((voxel, i) => {
      const k = layerOf(voxel), l = data.layers[k], n = l.second.length - 1;
      const a = Math.floor((voxel - starts[k]) / n), b = (voxel - starts[k]) % n, z = span(l).map(place);
      const cut = (lo, hi, cartesian) => {
        const c = [];
        for (const zz of z) {
          if (cartesian) {
            const y = [l.second[b], l.second[b + 1]].map(v => v / unit);
            c.push([lo / unit, y[0], zz], [hi / unit, y[0], zz], [hi / unit, y[1], zz], [lo / unit, y[1], zz]);
          } else {
            const r = [l.second[b], l.second[b + 1]].map(v => v / unit);
            c.push([r[0] * Math.cos(lo), r[0] * Math.sin(lo), zz], [r[1] * Math.cos(lo), r[1] * Math.sin(lo), zz],
                   [r[1] * Math.cos(hi), r[1] * Math.sin(hi), zz], [r[0] * Math.cos(hi), r[0] * Math.sin(hi), zz]);
          }
        }
        out.push({ corners: c, energy: shower.energy_MeV[i] });
      };
      if (l.kind === "polar") {
        const parts = Math.max(1, Math.ceil((l.first[a + 1] - l.first[a]) / 0.45)), step = (l.first[a + 1] - l.first[a]) / parts;
        for (let p = 0; p < parts; p++) cut(l.first[a] + p * step, l.first[a] + (p + 1) * step, false);
      } else cut(l.first[a], l.first[a + 1], true);
    });
    return out;
  }
  const FACES = [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]];
  const cache = new Map();
  function cached(shower) {
    if (!cache.has(shower)) cache.set(shower, boxes(shower));
    return cache.get(shower);
  }
  /* One colour scale for everything: four decades below the brightest voxel shown. */
  let top = 1e-9;
  data.pairs.forEach(p => [p.generated, p.reference].forEach(s => s.energy_MeV.forEach(e => { if (e > top) top = e; })));
  const high = Math.log10(top), DECADES = 4.5;

  function project(p, w, h) {
    /* The shower axis (z) runs to the right; then yaw about the vertical, pitch about the horizontal. */
    const x = p[2], y = p[1], z = -p[0];
    const cy = Math.cos(angle.yaw), sy = Math.sin(angle.yaw), cp = Math.cos(angle.pitch), sp = Math.sin(angle.pitch);
    const x1 = cy * x + sy * z, z1 = -sy * x + cy * z, y2 = cp * y - sp * z1, z2 = sp * y + cp * z1;
    const s = Math.min(w / 2.9, h / 1.9) * fit * angle.zoom * 4 / (4 - z2);
    return [w / 2 + s * x1, h / 2 - s * y2, z2];
  }

  function draw() {
    const light = printing || !dark.matches, pair = data.pairs[chosen];
    views.forEach(canvas => {
      const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
      if (!w || !h) return;
      canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio);
      const g = canvas.getContext("2d");
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.clearRect(0, 0, w, h);
      const shower = pair[canvas.dataset.which];
      frame(g, w, h, light);
      const faces = [];
      for (const box of cached(shower)) {
        const c = box.corners.map(p => project(p, w, h));
        const t = (Math.log10(box.energy) - high + DECADES) / DECADES;
        const depthOf = c.reduce((sum, p) => sum + p[2], 0) / 8;
        faces.push({ c, t, depthOf });
      }
      faces.sort((a, b) => a.depthOf - b.depthOf);
      for (const { c, t } of faces) {
        const alpha = 0.012 + 0.88 * Math.pow(Math.max(0, t), 3), rgb = colour(light ? t * 0.95 : 0.15 + 0.85 * t);
        FACES.forEach((f, k) => {
          const area = (c[f[1]][0] - c[f[0]][0]) * (c[f[2]][1] - c[f[0]][1]) - (c[f[1]][1] - c[f[0]][1]) * (c[f[2]][0] - c[f[0]][0]);
          const front = facing(c, f);
          if (!front || Math.abs(area) < 1e-3) return;
          const shade = k < 2 ? 0.86 : (k === 2 || k === 4 ? 1 : 0.93);
          g.fillStyle = "rgba(" + rgb.map(v => Math.round(v * shade)).join(",") + "," + alpha.toFixed(3) + ")";
          g.beginPath();
          f.forEach((i, j) => j ? g.lineTo(c[i][0], c[i][1]) : g.moveTo(c[i][0], c[i][1]));
          g.closePath(); g.fill();
          if (t > 0.45) { g.strokeStyle = light ? "rgba(0,0,0,.16)" : "rgba(0,0,0,.35)"; g.lineWidth = 0.5; g.stroke(); }
        });
      }
      canvas.setAttribute("aria-label", canvas.dataset.label + ", " + caption(shower) + ". Arrow keys turn, plus and minus zoom, Home resets.");
      document.getElementById("caption-" + canvas.dataset.which).textContent = caption(shower);
    });
    buttons.forEach((b, k) => b.setAttribute("aria-pressed", String(k === chosen)));
  }
  /* A face looks at the viewer when its centre is nearer than the box's. */
  function facing(c, f) {
    const mid = c.reduce((s, p) => s + p[2], 0) / 8, near = f.reduce((s, i) => s + c[i][2], 0) / 4;
    return near > mid;
  }
  function frame(g, w, h, light) {
    g.strokeStyle = light ? "rgba(0,0,0,.22)" : "rgba(255,255,255,.25)";
    g.lineWidth = 1;
    const b = 0.5, z = depth.map(place);
    const path = pts => { g.beginPath(); pts.forEach((p, i) => { const q = project(p, w, h); if (i) g.lineTo(q[0], q[1]); else g.moveTo(q[0], q[1]); }); g.stroke(); };
    z.forEach(zz => path([[-b, -b, zz], [b, -b, zz], [b, b, zz], [-b, b, zz], [-b, -b, zz]]));
    [[-b, -b], [b, -b], [b, b], [-b, b]].forEach(([x, y]) => path([[x, y, z[0]], [x, y, z[1]]]));
    if (data.layers.length <= 12) data.layers.slice(1).forEach(l => { const zz = place(span(l)[0]); g.globalAlpha = 0.45; path([[-b, -b, zz], [b, -b, zz], [b, b, zz], [-b, b, zz], [-b, -b, zz]]); g.globalAlpha = 1; });
    /* the particle */
    g.strokeStyle = g.fillStyle = light ? "#595959" : "#a8a8a8";
    const from = project([0, 0, z[0] - 0.28], w, h), to = project([0, 0, z[0] - 0.02], w, h);
    g.lineWidth = 1.6; g.beginPath(); g.moveTo(from[0], from[1]); g.lineTo(to[0], to[1]); g.stroke();
    const d = Math.atan2(to[1] - from[1], to[0] - from[0]);
    g.beginPath(); g.moveTo(to[0], to[1]);
    [2.7, -2.7].forEach(turn => g.lineTo(to[0] + 8 * Math.cos(d + turn), to[1] + 8 * Math.sin(d + turn)));
    g.closePath(); g.fill();
  }
  const energy = e => e >= 999.5 ? (e / 1000).toPrecision(3) + " GeV" : e.toPrecision(3) + " MeV";
  function caption(s) { return energy(s.e_inc_MeV) + " incident, " + energy(s.e_dep_MeV) + " deposited in " + s.n_hits.toLocaleString("en") + " voxels"; }

  let waiting = false;
  function later() { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } }
  function turn(dx, dy) { angle.yaw += dx; angle.pitch = Math.max(-1.5, Math.min(1.5, angle.pitch + dy)); later(); }
  function zoom(f) { angle.zoom = Math.max(0.4, Math.min(8, angle.zoom * f)); later(); }

  views.forEach(canvas => {
    let last = null;
    canvas.addEventListener("pointerdown", e => { last = [e.clientX, e.clientY]; canvas.setPointerCapture(e.pointerId); });
    canvas.addEventListener("pointermove", e => { if (last) { turn((e.clientX - last[0]) * 0.008, (e.clientY - last[1]) * 0.008); last = [e.clientX, e.clientY]; } });
    ["pointerup", "pointercancel"].forEach(name => canvas.addEventListener(name, () => { last = null; }));
    canvas.addEventListener("wheel", e => { if (e.ctrlKey || document.activeElement === canvas) { e.preventDefault(); zoom(Math.exp(-e.deltaY * 0.0015)); } }, { passive: false });
    canvas.addEventListener("keydown", e => {
      const keys = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
      if (keys[e.key]) turn(...keys[e.key]);
      else if (e.key === "+" || e.key === "=") zoom(1.15);
      else if (e.key === "-") zoom(1 / 1.15);
      else if (e.key === "Home") { Object.assign(angle, START); later(); }
      else return;
      e.preventDefault();
    });
  });
  buttons.forEach((b, k) => b.addEventListener("click", () => { chosen = k; later(); }));
  dark.addEventListener("change", later);
  window.addEventListener("resize", later);
  window.addEventListener("beforeprint", () => { printing = true; draw(); });
  window.addEventListener("afterprint", () => { printing = false; draw(); });
  document.documentElement.classList.add("js");
  draw();
})();
