//! What is remembered of one agent's calls: what was called, how often, and what came of it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::chain::{Deed, Ended, Kinds, Past};
use super::family::Families;
use super::flow::Flow;
use super::terms::CallLimits;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Calls remembered as made, for rates: no more can be counted than this in a minute.
const RECENT_MAX: usize = 1 << 14;
/// Calls whose results have not come. An answer that never comes is not waited for longer than an hour.
const OPEN_MAX: usize = 1024;
/// Tools whose description is remembered.
const TOLD_MAX: usize = 4096;
/// Calls in which a loop is looked for.
const LOOP_MAX: usize = 1024;
/// The longest round of a loop that is named.
const ROUND_MAX: usize = 4;
/// How long a call is part of a loop.
const LOOP_WINDOW: Duration = Duration::from_secs(600);

/// One agent's calls. Bounded, whatever the agent does.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    hasher: RandomState,
    past: Past,
    flow: Flow,
    /// What was said of tools, by the hash of server and name.
    told: HashMap<u64, Families>,
    /// Time, tool and bytes of the last minute's calls.
    recent: VecDeque<Made>,
    tools: HashSet<u64>,
    tools_since: Duration,
    open: VecDeque<Open>,
    /// The last calls, by the hash of tool and arguments.
    last: VecDeque<(u64, Duration)>,
}

#[derive(Debug, Clone, Copy)]
struct Made {
    at: Duration,
    tool: u64,
    bytes: u64,
}

/// A call whose result has not come.
#[derive(Debug, Clone, Copy)]
struct Open {
    tool: u64,
    kinds: Kinds,
    at: Duration,
}

/// One call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) server: &'a str,
    pub(crate) tool: &'a str,
    pub(crate) arguments: &'a [u8],
}

/// A budget of calls that is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spent {
    /// The policy's key below `tools.limits`.
    pub(crate) key: &'static str,
    pub(crate) limit: u64,
    pub(crate) retry_seconds: u64,
    /// Calls in one round of the loop that was found.
    pub(crate) round: usize,
}

impl Ledger {
    /// What was said of a tool when it was listed.
    pub(crate) fn told(&self, server: &str, tool: &str) -> Families {
        let tool = self.tool(server, tool);
        self.told.get(&tool).cloned().unwrap_or_default()
    }

    /// Keeps what is said of a tool.
    pub(crate) fn tell(&mut self, server: &str, tool: &str, families: Families) {
        let tool = self.tool(server, tool);
        if self.told.len() < TOLD_MAX || self.told.contains_key(&tool) {
            self.told.insert(tool, families);
        }
    }

    /// Whether there is room for a call. Nothing is counted yet.
    pub(crate) fn room(
        &mut self,
        call: Call<'_>,
        limits: &CallLimits,
        now: Duration,
    ) -> Result<(), Spent> {
        self.forget(now);
        let tool = self.tool(call.server, call.tool);
        self.rates(tool, call.arguments.len() as u64, limits, now)?;
        let spent = |key, limit, retry_seconds| Spent {
            key,
            limit,
            retry_seconds,
            round: 0,
        };
        if let Some(limit) = limits.tools_per_hour
            && self.tools.len() as u64 >= limit
            && !self.tools.contains(&tool)
        {
            let left = HOUR.saturating_sub(now.saturating_sub(self.tools_since));
            return Err(spent("tools_per_hour", limit, left.as_secs() + 1));
        }
        if let Some(limit) = limits
            .concurrent
            .filter(|limit| self.open.len() as u64 >= *limit)
        {
            return Err(spent("concurrent", limit, 1));
        }
        self.repeats(call, limits, now)
    }

    fn rates(
        &self,
        tool: u64,
        bytes: u64,
        limits: &CallLimits,
        now: Duration,
    ) -> Result<(), Spent> {
        let all = self.recent.len() as u64;
        let own = self.recent.iter().filter(|made| made.tool == tool).count() as u64;
        let sum = self.recent.iter().map(|made| made.bytes).sum::<u64>();
        for (key, limit, would_be) in [
            ("calls_per_minute", limits.calls_per_minute, all + 1),
            (
                "tool_calls_per_minute",
                limits.tool_calls_per_minute,
                own + 1,
            ),
            (
                "arguments_per_minute",
                limits.arguments_per_minute,
                sum + bytes,
            ),
        ] {
            if let Some(limit) = limit.filter(|limit| would_be > *limit) {
                let oldest = self.recent.front().map_or(now, |made| made.at);
                let wait = MINUTE.saturating_sub(now.saturating_sub(oldest));
                let retry_seconds = wait.as_secs() + 1;
                return Err(Spent {
                    key,
                    limit,
                    retry_seconds,
                    round: 0,
                });
            }
        }
        Ok(())
    }

    /// The same call, or the same round of calls, over and over: tools and arguments both.
    fn repeats(&self, call: Call<'_>, limits: &CallLimits, now: Duration) -> Result<(), Spent> {
        let Some(limit) = limits.repeats else {
            return Ok(());
        };
        let own = self.hash(call);
        let calls: Vec<_> = std::iter::once(own)
            .chain(self.last.iter().rev().map(|(hash, _)| *hash))
            .collect();
        for round in 1..=ROUND_MAX {
            let same = calls.iter().zip(&calls[round.min(calls.len())..]);
            let alike = same.take_while(|(a, b)| a == b).count();
            let rounds = (alike / round + 1) as u64;
            if rounds > limit {
                let newest = self.last.back().map_or(now, |(_, at)| *at);
                let retry_seconds = LOOP_WINDOW
                    .saturating_sub(now.saturating_sub(newest))
                    .as_secs()
                    + 1;
                return Err(Spent {
                    key: "repeats",
                    limit,
                    retry_seconds,
                    round,
                });
            }
        }
        Ok(())
    }

    /// The chains that a call would end.
    pub(crate) fn ends(&self, deed: &Deed, arguments: &str) -> Vec<Ended> {
        self.past.ends(deed, self.flow.within(arguments))
    }

    /// A call is made.
    pub(crate) fn make(&mut self, call: Call<'_>, deed: Deed) {
        let (tool, now, kinds) = (self.tool(call.server, call.tool), deed.at, deed.kinds);
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        let bytes = call.arguments.len() as u64;
        self.recent.push_back(Made {
            at: now,
            tool,
            bytes,
        });
        self.tools.insert(tool);
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back(Open {
            tool,
            kinds,
            at: now,
        });
        if self.last.len() == LOOP_MAX {
            self.last.pop_front();
        }
        let hash = self.hash(call);
        self.last.push_back((hash, now));
        self.past.push(deed);
    }

    /// The classes of the calls that a result of this tool may answer, of which the oldest is answered.
    pub(crate) fn answer(&mut self, server: &str, tool: &str) -> Kinds {
        let tool = self.tool(server, tool);
        let mut kinds = Kinds::NONE;
        for open in self.open.iter().filter(|open| open.tool == tool) {
            kinds = kinds.and(open.kinds);
        }
        if let Some(at) = self.open.iter().position(|open| open.tool == tool) {
            self.open.remove(at);
        }
        kinds
    }

    /// Keeps what a call brought.
    pub(crate) fn note(&mut self, text: &str, kinds: Kinds) {
        self.flow.note(text, kinds);
    }

    /// The hash of a path, to compare it with others.
    pub(crate) fn path(&self, path: &str) -> u64 {
        self.hasher.hash_one(path)
    }

    fn tool(&self, server: &str, tool: &str) -> u64 {
        self.hasher.hash_one((server, tool))
    }

    fn hash(&self, call: Call<'_>) -> u64 {
        self.hasher
            .hash_one((call.server, call.tool, call.arguments))
    }

    fn forget(&mut self, now: Duration) {
        let is_past = |at: Duration, window| now.saturating_sub(at) >= window;
        while self
            .recent
            .front()
            .is_some_and(|made| is_past(made.at, MINUTE))
        {
            self.recent.pop_front();
        }
        while self.open.front().is_some_and(|open| is_past(open.at, HOUR)) {
            self.open.pop_front();
        }
        while self
            .last
            .front()
            .is_some_and(|(_, at)| is_past(*at, LOOP_WINDOW))
        {
            self.last.pop_front();
        }
        if is_past(self.tools_since, HOUR) {
            self.tools.clear();
            self.tools_since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Call, CallLimits, Deed, Kinds, Ledger};

    const LIMITS: CallLimits = CallLimits {
        calls_per_minute: Some(100),
        tool_calls_per_minute: Some(50),
        arguments_per_minute: Some(1000),
        tools_per_hour: Some(3),
        concurrent: Some(60),
        repeats: Some(5),
    };

    /// Makes calls, `tool arguments` each, a second apart; returns the key of the budget that is spent first, and
    /// how many calls were made before.
    fn made(calls: &[&str], is_answered: bool) -> Option<(&'static str, usize)> {
        let mut ledger = Ledger::default();
        for (index, call) in calls.iter().enumerate() {
            let (tool, arguments) = call.split_once(' ').expect("a tool and arguments");
            let call = Call {
                server: "s",
                tool,
                arguments: arguments.as_bytes(),
            };
            let at = Duration::from_millis(index as u64 * 100);
            if let Err(spent) = ledger.room(call, &LIMITS, at) {
                return Some((spent.key, index));
            }
            ledger.make(
                call,
                Deed {
                    kinds: Kinds::NONE,
                    paths: Vec::new(),
                    at,
                },
            );
            if is_answered {
                ledger.answer("s", tool);
            }
        }
        None
    }

    #[test]
    fn budgets_are_spent() {
        let numbered = |tool: &str, count: usize| {
            (0..count)
                .map(|index| format!("{tool} {index}"))
                .collect::<Vec<_>>()
        };
        let own = |calls: &[String], is_answered| {
            made(
                &calls.iter().map(|own| &**own).collect::<Vec<_>>(),
                is_answered,
            )
        };
        assert_eq!(
            own(&numbered("a", 60), true),
            Some(("tool_calls_per_minute", 50))
        );
        let mut both = numbered("a", 50);
        both.extend(numbered("b", 50));
        both.push("c 1".to_owned());
        assert_eq!(own(&both, true), Some(("calls_per_minute", 100)));
        assert_eq!(own(&both, false), Some(("concurrent", 60)));
        assert_eq!(
            made(&["a 1", "b 1", "c 1", "a 2", "d 1"], true),
            Some(("tools_per_hour", 4))
        );
        let large = format!("a {}", "x".repeat(600));
        assert_eq!(
            made(&[&large, &large], true),
            Some(("arguments_per_minute", 1))
        );
    }

    #[test]
    fn loops_are_named_only_where_arguments_repeat() {
        let same = ["a 1"; 10];
        assert_eq!(made(&same, true), Some(("repeats", 5)));
        let alternating = ["a 1", "b 1"].repeat(10);
        assert_eq!(made(&alternating, true), Some(("repeats", 11)));
        let edits: Vec<_> = (0..40)
            .map(|index| {
                if index % 2 == 0 {
                    format!("a {index}")
                } else {
                    "b test".to_owned()
                }
            })
            .collect();
        let edits: Vec<_> = edits.iter().map(|own| &**own).collect();
        assert_eq!(made(&edits, true), None);
    }
}
