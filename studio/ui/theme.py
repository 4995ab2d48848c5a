"""The studio's look as a Gradio theme, drawn from the tokens at the head of ``assets/studio.css``.

Those are CSS variables with a dark and a light set, and the page's root says which counts (``assets/js/theme.js``);
Gradio's own two modes are given the same. Only the 400 and 700 faces of IBM Plex Sans are used: Gradio ships those two
whole and the semi-bold one broken.
"""

from __future__ import annotations

import gradio as gr

GROUND = "var(--bg0)"
PANEL = "var(--bg1)"
FIELD = "var(--bg2)"
RAISED = "var(--bg3)"
LINE = "var(--line)"
TEXT = "var(--tx)"
QUIET = "var(--tx2)"
HINT = "var(--tx3)"
ACTION = "var(--go)"
MARK = "var(--mark)"
ON_ACTION = "var(--on-go)"
BAD = "var(--bad)"
LINK = "var(--link)"

_TOKENS = {
    "body_background_fill": GROUND,
    "body_text_color": TEXT,
    "body_text_color_subdued": QUIET,
    "background_fill_primary": PANEL,
    "background_fill_secondary": FIELD,
    "block_background_fill": PANEL,
    "block_border_color": LINE,
    "block_label_background_fill": PANEL,
    "block_label_text_color": QUIET,
    "block_title_text_color": QUIET,
    "block_info_text_color": HINT,
    "border_color_accent": MARK,
    "border_color_primary": LINE,
    "color_accent_soft": RAISED,
    "input_background_fill": FIELD,
    "input_background_fill_focus": FIELD,
    "input_background_fill_hover": FIELD,
    "input_border_color": LINE,
    "input_border_color_focus": MARK,
    "input_border_color_hover": LINE,
    "input_placeholder_color": HINT,
    "link_text_color": LINK,
    "checkbox_background_color": FIELD,
    "checkbox_background_color_selected": MARK,
    "checkbox_border_color": LINE,
    "checkbox_border_color_selected": MARK,
    "checkbox_label_background_fill": FIELD,
    "checkbox_label_background_fill_hover": RAISED,
    "checkbox_label_background_fill_selected": RAISED,
    "checkbox_label_border_color": LINE,
    "checkbox_label_text_color": QUIET,
    "checkbox_label_text_color_selected": TEXT,
    "panel_background_fill": PANEL,
    "panel_border_color": LINE,
    "slider_color": MARK,
    "button_primary_background_fill": ACTION,
    "button_primary_background_fill_hover": ACTION,
    "button_primary_text_color": ON_ACTION,
    "button_secondary_background_fill": FIELD,
    "button_secondary_background_fill_hover": RAISED,
    "button_secondary_text_color": TEXT,
    "error_background_fill": PANEL,
    "error_border_color": BAD,
    "error_text_color": BAD,
}

_PLAIN = {
    "block_border_width": "0px",
    "block_padding": "0px",
    "block_label_text_size": "13px",
    "block_title_text_size": "13px",
    "block_title_text_weight": "400",
    "block_info_text_size": "12px",
    "layout_gap": "10px",
    "form_gap_width": "0px",
    "input_padding": "7px 9px",
    "input_radius": "6px",
    "input_text_size": "13px",
    "button_large_text_weight": "700",
    "button_small_text_weight": "400",
    "section_header_text_weight": "700",
    "button_transition": "none",
}


def studio_theme() -> gr.themes.Base:
    """Each colour is set for both of Gradio's modes: no URL parameter and no setting of the system has a say in it."""
    theme = gr.themes.Base(
        primary_hue="amber",
        neutral_hue="zinc",
        text_size="sm",
        spacing_size="sm",
        radius_size="sm",
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "sans-serif"],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=(400,)), "monospace"],
    )
    both = {name + mode: value for name, value in _TOKENS.items() for mode in ("", "_dark")}
    shadows = {
        "block_shadow": "none",
        "block_shadow_dark": "none",
        "button_primary_shadow": "none",
        "input_shadow": "none",
    }
    return theme.set(**both, **_PLAIN, **shadows)
