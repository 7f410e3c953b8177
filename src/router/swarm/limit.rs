//! How much of the network files may take.

use crate::router::command::RateLimit;
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::FaceId;
use crate::router::notice::Notice;
use crate::router::text::size;

/// How files are bounded, for people.
fn describe(up: bool, bytes_per_second: Option<u64>) -> String {
    let way = if up { "upload" } else { "download" };
    match bytes_per_second {
        Some(rate) => format!("{way} limit: {}/s", size(rate)),
        None => format!("no {way} limit"),
    }
}

/// Bounds what files may take of the network, from now on; or tells who asks how it is bounded.
pub(in crate::router) fn limit(
    cx: &mut Context,
    (face, line): (FaceId, u64),
    change: Option<RateLimit>,
) {
    let Some(RateLimit { up, bytes_per_second }) = change else {
        let (up, down) = (cx.limits().up_bytes_per_s, cx.limits().down_bytes_per_s);
        for text in [describe(true, up), describe(false, down)] {
            cx.effect(Effect::Tell { face, line, notice: Notice::Remark { text } });
        }
        return;
    };
    let limits = &mut cx.config.limits;
    let limit = if up { &mut limits.up_bytes_per_s } else { &mut limits.down_bytes_per_s };
    *limit = bytes_per_second;
    cx.effect(Effect::Limit { up, bytes_per_second });
    cx.remark(describe(up, bytes_per_second));
}
