"""The browser lab: `deleverage view`. Everything is served from this machine; the page only draws.

`series`, `story` and `tabs` turn a model or a run into plain data (pure functions, tested without a browser);
`controls` are the sliders; `session` is one window's own model; `replay` a finished run; `server` hands it all out.
"""
