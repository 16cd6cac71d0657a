"""The slabs of a calorimeter as a picture: the whole depth, and one repetition of each section."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from caloforge.errors import ConfigError
from caloforge.geometry import Geometry, Section, Stack
from caloforge.plotting.style import save_figure

__all__ = ["plot_stack"]

_WIDTH = 11.0  # inches
_MAX_SECTIONS = 4
_INCHES_PER_LETTER = 0.075
_COLOURS = {
    "G4_Pb": "#5d6470",
    "G4_W": "#3d4a5c",
    "G4_Fe": "#8a5a44",
    "G4_STAINLESS-STEEL": "#9a8578",
    "G4_Cu": "#b87333",
    "G4_BRASS": "#c9a14a",
    "G4_U": "#4f5b3a",
    "G4_Al": "#b9c0c8",
    "G4_lAr": "#8ecdf2",
    "G4_Si": "#f0b83c",
    "G4_PbWO4": "#b7d7e8",
    "G4_POLYSTYRENE": "#7fc7a0",
    "G4_PLASTIC_SC_VINYLTOLUENE": "#7fc7a0",
    "G4_AIR": "#ffffff",
    "G4_Galactic": "#ffffff",
}
_OTHERS = ("#8ecdf2", "#c58fb8", "#7fa35a", "#d98c5f", "#6f8fc9", "#d7cfa3", "#9fd0c0", "#a5504f", "#b0b0b0")
_MARK = "#d62728"
_ACTIVE = {"active": "active: read out", "all": "active; deposits elsewhere count too"}


def plot_stack(
    geometry: Geometry, path: Path, *, radiation_length_edges: Sequence[float] | None = None
) -> None:
    """Draw the stack of a geometry from the side, with its calorimeter layers.

    Heights mean nothing; along z all slabs are to scale.

    Args:
        geometry: With a stack.
        path: Picture to write; its suffix chooses the format.
        radiation_length_edges: Depth in X0 at each of the stack's ``z_edges``, for a second axis.

    Raises:
        ConfigError: The geometry has no stack.
        OutputError: The picture cannot be written.
    """
    if (stack := geometry.stack) is None:
        raise ConfigError(f"Geometry {geometry.name!r} has no material stack, so there is nothing to draw.")
    colours = _colours(stack)
    zoomed = stack.sections[:_MAX_SECTIONS]
    labels = _Labels.fit(zoomed, _WIDTH / len(zoomed))
    figure = Figure(figsize=(_WIDTH, 7.2 if labels.upright else 5.8), layout="constrained")
    heights = [1.0, 1.4 if labels.upright else 0.95]
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    whole = upper.subplots()
    _draw_whole(whole, geometry, stack, colours, radiation_length_edges)
    panels = lower.subplots(1, len(zoomed), squeeze=False)[0]
    front = 0.0
    for axes, section in zip(panels, zoomed, strict=True):
        _draw_zoom(axes, section, front, colours, labels)
        front += section.depth
    n_sections = len(stack.sections)
    which = (
        f"the first {len(zoomed)} of {n_sections} sections" if len(zoomed) < n_sections else "each section"
    )
    lower.suptitle("one repetition" if n_sections == 1 else f"one repetition of {which}", fontsize=11)
    handles = [
        Patch(facecolor=colour, edgecolor="0.5", linewidth=0.5, label=name.removeprefix("G4_"))
        for name, colour in colours.items()
    ]
    handles.append(Patch(facecolor=_MARK, label=_ACTIVE[stack.deposits]))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 7), frameon=False)
    save_figure(figure, path)


def _colours(stack: Stack) -> dict[str, str]:
    """A colour for each material, in the order of the slabs; known ones have always the same."""
    names = dict.fromkeys(slab.material for section in stack.sections for slab in section.slabs)
    taken = {_COLOURS[name] for name in names if name in _COLOURS}
    free = [colour for colour in _OTHERS if colour not in taken]
    others = [name for name in names if name not in _COLOURS]
    chosen = {name: free[k % len(free)] for k, name in enumerate(others)}
    return {name: _COLOURS.get(name) or chosen[name] for name in names}


def _draw_whole(
    axes: Axes,
    geometry: Geometry,
    stack: Stack,
    colours: Mapping[str, str],
    radiation_length_edges: Sequence[float] | None,
) -> None:
    slabs, edges = stack.slabs, np.asarray(stack.z_edges)
    _fill(axes, edges, [colours[slab.material] for slab in slabs], low=0.0, high=1.0)
    active = [k for k, slab in enumerate(slabs) if slab.active]
    axes.add_collection(
        PolyCollection(
            [_rectangle(edges[k], edges[k + 1], -0.09, -0.03) for k in active],
            facecolors=_MARK,
            linewidths=0,
        )
    )
    _draw_layers(axes, geometry)
    axes.set(xlim=(0, stack.depth), ylim=(-0.12, 1.3), yticks=[], xlabel="z [mm]")
    axes.set_title(f"{geometry.name}: {_in_words(stack)}", fontsize=11)
    axes.spines[["left", "right", "top"]].set_visible(False)
    if radiation_length_edges is not None:
        depth = np.asarray(radiation_length_edges)
        top = axes.secondary_xaxis(
            "top",
            functions=(
                lambda z: np.interp(np.asarray(z), edges, depth),
                lambda x: np.interp(np.asarray(x), depth, edges),
            ),
        )
        ticks = MaxNLocator(nbins=9, steps=[1, 2, 5, 10]).tick_values(0.0, depth[-1])
        top.set_xticks([tick for tick in ticks if tick <= depth[-1]])  # behind it, interp would not know
        top.set_xlabel(r"depth [$X_0$]")


def _draw_layers(axes: Axes, geometry: Geometry) -> None:
    """Boxes of the calorimeter layers above the slabs, in two greys; names where there is room."""
    placed = [
        (layer.name, layer.z_min, layer.z_max)
        for layer in geometry.layers
        if layer.z_min is not None and layer.z_max is not None
    ]
    every = max(1, -(-len(placed) // 30))
    for k, (name, z_min, z_max) in enumerate(placed):
        axes.fill_between([z_min, z_max], 1.04, 1.24, color=("0.82", "0.93")[k % 2], linewidth=0)
        axes.plot([z_max, z_max], [1.0, 1.24], color="0.2", linewidth=0.7 if every == 1 else 0.4)
        if k % every == 0:
            axes.text((z_min + z_max) / 2, 1.14, name, ha="center", va="center", fontsize=8)
    if placed:
        axes.text(-0.005, 1.14, "layer", ha="right", va="center", transform=axes.get_yaxis_transform())


def _draw_zoom(
    axes: Axes, section: Section, front: float, colours: Mapping[str, str], labels: "_Labels"
) -> None:
    """One repetition of a section, each slab with its thickness."""
    edges = front + np.concatenate([[0.0], np.cumsum([slab.thickness for slab in section.slabs])])
    depth = edges[-1] - front
    _fill(axes, edges, [colours[slab.material] for slab in section.slabs], low=0.0, high=1.0, outline="0.3")
    for k, slab in enumerate(section.slabs):
        if slab.active:
            axes.fill_between(edges[k : k + 2], -0.09, -0.03, color=_MARK, linewidth=0)
    labels.write(axes, section, edges)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(-0.12, labels.top), yticks=[], xlabel="z [mm]")
    if section.repeat > 1:
        axes.set_title(f"{section.repeat} x {depth:g} mm", fontsize=10)
    axes.spines[["left", "right", "top"]].set_visible(False)


@dataclass(frozen=True)
class _Labels:
    """What each slab is, written above it; all panels alike."""

    width: float
    """Of a panel, inches."""
    upright: bool
    """For more slabs than there is room for side by side."""
    top: float
    """Upper end of the vertical axis, on which slabs reach from 0 to 1."""

    @classmethod
    def fit(cls, sections: Sequence[Section], width: float) -> "_Labels":
        flat = cls(width=width, upright=False, top=1.5)
        if all(flat.sizes(flat.lines(section)).sum() <= width for section in sections):
            return flat
        upright = cls(width=width, upright=True, top=0.0)
        longest = max(len(line) for section in sections for line in upright.lines(section))
        share = _INCHES_PER_LETTER * longest / 2.6  # of the panel's height
        return cls(width=width, upright=True, top=(1.2 + 0.12 * share) / (1 - share))

    def lines(self, section: Section) -> list[str]:
        names = [slab.material.removeprefix("G4_") for slab in section.slabs]
        if self.upright:
            names = [name if len(name) <= 14 else f"{name[:13]}…" for name in names]
        between = " " if self.upright else "\n"
        return [f"{name}{between}{s.thickness:g} mm" for name, s in zip(names, section.slabs, strict=True)]

    def sizes(self, lines: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Along the panel, inches."""
        if self.upright:
            return np.full(len(lines), 0.18)
        return np.array([_INCHES_PER_LETTER * max(map(len, line.split("\n"))) + 0.15 for line in lines])

    def write(self, axes: Axes, section: Section, edges: Float[np.ndarray, " n"]) -> None:
        lines = self.lines(section)
        if (sizes := self.sizes(lines)).sum() > self.width:
            return  # too many to tell apart
        scale = (edges[-1] - edges[0]) / self.width
        centres = (edges[:-1] + edges[1:]) / 2
        places = edges[0] + scale * _spread((centres - edges[0]) / scale, sizes, self.width)
        for slab, line, centre, place in zip(section.slabs, lines, centres, places, strict=True):
            axes.plot([centre, centre, place], [1.0, 1.04, 1.15], color="0.5", linewidth=0.7)
            text = axes.text(place, 1.17, line, ha="center", va="bottom", fontsize=8)
            text.set(rotation=90 if self.upright else 0, in_layout=False)
            if slab.active:
                text.set_fontweight("bold")


def _spread(
    centres: Float[np.ndarray, " n"], sizes: Float[np.ndarray, " n"], width: float
) -> Float[np.ndarray, " n"]:
    """Places near the centres, in their order, where labels of these sizes do not overlap."""
    places = centres.copy()
    for k in range(len(places)):
        least = places[k - 1] + (sizes[k - 1] + sizes[k]) / 2 if k else sizes[0] / 2
        places[k] = max(places[k], least)
    for k in reversed(range(len(places))):
        last = k == len(places) - 1
        most = width - sizes[k] / 2 if last else places[k + 1] - (sizes[k] + sizes[k + 1]) / 2
        places[k] = min(places[k], most)
    return places


def _fill(
    axes: Axes,
    edges: Float[np.ndarray, " n"],
    colours: Sequence[str],
    *,
    low: float,
    high: float,
    outline: str = "none",
) -> None:
    axes.add_collection(
        PolyCollection(
            [_rectangle(a, b, low, high) for a, b in itertools.pairwise(edges.tolist())],
            facecolors=colours,
            edgecolors=outline,
            linewidths=0 if outline == "none" else 0.6,
        )
    )


def _rectangle(left: float, right: float, low: float, high: float) -> list[tuple[float, float]]:
    return [(left, low), (right, low), (right, high), (left, high)]


def _in_words(stack: Stack) -> str:
    parts = [
        (f"{s.repeat} x " if s.repeat > 1 else "") + f"{s.depth / s.repeat:g} mm" for s in stack.sections
    ]
    listed = " + ".join(parts) if len(parts) <= _MAX_SECTIONS else f"{len(parts)} sections"
    total = f"{stack.depth:g} mm"
    return listed if listed == total else f"{listed} = {total}"
