"""How the page looks: one accent, system fonts, contrast that holds in light and dark."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

ASSETS = Path(__file__).parent / "assets"

_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

# Colours, where Gradio's own fall short of WCAG AA; borders and paddings, for calm.
_VALUES = {
    "body_background_fill": "#f8fafa",
    "body_background_fill_dark": "#0e1416",
    "background_fill_primary": "#ffffff",
    "background_fill_primary_dark": "#161e21",
    "background_fill_secondary": "#eff3f3",
    "background_fill_secondary_dark": "#1e282b",
    "block_background_fill": "transparent",
    "block_background_fill_dark": "transparent",
    "border_color_primary": "#d5dddd",
    "border_color_primary_dark": "#334145",
    "body_text_color": "#16211f",
    "body_text_color_dark": "#e8efee",
    "body_text_color_subdued": "#546462",
    "body_text_color_subdued_dark": "#a3b3b1",
    "block_info_text_color": "#546462",
    "block_info_text_color_dark": "#a3b3b1",
    "block_label_text_color": "#16211f",
    "block_label_text_color_dark": "#e8efee",
    "block_title_text_color": "#16211f",
    "block_title_text_color_dark": "#e8efee",
    "block_title_text_weight": "600",
    "block_border_width": "0px",
    "block_border_width_dark": "0px",
    "block_padding": "0px",
    "block_shadow": "none",
    "input_background_fill": "#ffffff",
    "input_background_fill_dark": "#161e21",
    "input_border_color": "#bcc8c7",
    "input_border_color_dark": "#43535a",
    "color_accent": "#0f766e",
    "input_border_color_focus": "#0f766e",
    "input_border_color_focus_dark": "#2dd4bf",
    "input_border_width": "1px",
    "input_placeholder_color": "#5d6d6b",
    "input_placeholder_color_dark": "#9aaaa8",
    "button_primary_background_fill": "#0f766e",
    "button_primary_background_fill_dark": "#0f766e",
    "button_primary_background_fill_hover": "#115e59",
    "button_primary_background_fill_hover_dark": "#115e59",
    "button_primary_text_color": "#ffffff",
    "button_primary_text_color_dark": "#ffffff",
    "button_secondary_background_fill": "#ffffff",
    "button_secondary_background_fill_dark": "#1e282b",
    "button_secondary_text_color": "#16211f",
    "button_secondary_text_color_dark": "#e8efee",
    "button_secondary_background_fill_hover": "#eff3f3",
    "button_secondary_background_fill_hover_dark": "#27343a",
    "button_cancel_background_fill": "#b42318",
    "button_cancel_background_fill_dark": "#b42318",
    "button_cancel_text_color": "#ffffff",
    "button_cancel_text_color_dark": "#ffffff",
    "slider_color": "#0f766e",
    "slider_color_dark": "#2dd4bf",
}


def theme() -> gr.themes.Base:
    """The theme: Gradio's plainest, with colours set where its own fall short of WCAG AA."""
    base = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_md,
        font=_FONT,
        font_mono=_MONO,
    )
    return base.set(**_VALUES)
