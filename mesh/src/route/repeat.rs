//! Whether a request is sent again after a try, and when.

use std::time::Duration;

use super::retry::{RetryCondition, RetryPolicy};

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// There was no connection.
    NotConnected,
    /// The connection ended before the request was sent.
    NotSent,
    /// HTTP/2 refused the request before it was processed.
    Refused,
    /// The connection ended without an answer.
    Broken,
    /// There was no answer in time.
    Timeout,
    /// It was not sent, as the destination has as much as it may have.
    Overloaded,
    /// There was an answer.
    Answered(AttemptAnswer),
}

/// What of an answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptAnswer {
    /// The status of HTTP.
    pub status: u16,
    /// That of gRPC, where the head of the answer has one.
    pub grpc_status: Option<u16>,
    /// Whether it has the header `x-envoy-ratelimited`.
    pub ratelimited: bool,
}

impl RetryPolicy {
    /// Whether a request is to be sent again. One that may have been processed, and could do harm
    /// twice, never is, whatever the statuses that are asked for: Envoy repeats a POST, too.
    pub fn repeats(&self, outcome: AttemptOutcome, idempotent: bool) -> bool {
        match outcome {
            AttemptOutcome::NotConnected => self.asks(&[
                RetryCondition::ConnectFailure,
                RetryCondition::ResetBeforeRequest,
                RetryCondition::Reset,
                RetryCondition::GatewayError,
                RetryCondition::ServerError,
            ]),
            AttemptOutcome::NotSent => self.asks(&[
                RetryCondition::ResetBeforeRequest,
                RetryCondition::Reset,
                RetryCondition::GatewayError,
                RetryCondition::ServerError,
            ]),
            AttemptOutcome::Refused => self.asks(&[
                RetryCondition::RefusedStream,
                RetryCondition::Reset,
                RetryCondition::ServerError,
            ]),
            AttemptOutcome::Broken => {
                idempotent && self.asks(&[RetryCondition::Reset, RetryCondition::ServerError])
            }
            AttemptOutcome::Timeout => {
                let asked = self.asks(&[
                    RetryCondition::Reset,
                    RetryCondition::GatewayError,
                    RetryCondition::ServerError,
                ]);
                idempotent && asked
            }
            // More of it would be too much again.
            AttemptOutcome::Overloaded => false,
            AttemptOutcome::Answered(answer) => {
                self.repeats_rejection(answer) || idempotent && self.repeats_status(answer.status)
            }
        }
    }

    /// The pause before the `repetition`th repetition, the first of which is 1: anything up to a
    /// time that doubles, at most ten times the first. `random` is any number, each as likely as
    /// any other.
    pub fn pause(&self, repetition: u32, random: u64) -> Duration {
        let base = self.backoff.unwrap_or(BACKOFF);
        let steps = 1_u32
            .checked_shl(repetition)
            .map_or(MOST_STEPS, |it| it - 1);
        let longest = base.saturating_mul(steps.min(MOST_STEPS));
        let nanos = (longest.as_nanos().saturating_mul(u128::from(random))) >> u64::BITS;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// What was rejected rather than processed.
    fn repeats_rejection(&self, answer: AttemptAnswer) -> bool {
        let grpc = answer.grpc_status.and_then(of_grpc);
        answer.status == 409 && self.asks(&[RetryCondition::Retriable4xx])
            || answer.ratelimited && self.asks(&[RetryCondition::EnvoyRatelimited])
            || grpc.is_some_and(|condition| self.asks(&[condition]))
    }

    fn repeats_status(&self, status: u16) -> bool {
        status >= 500 && self.asks(&[RetryCondition::ServerError])
            || matches!(status, 502..=504) && self.asks(&[RetryCondition::GatewayError])
            || self.statuses.contains(&status) && self.asks(&[RetryCondition::RetriableStatusCodes])
    }

    fn asks(&self, any: &[RetryCondition]) -> bool {
        self.on.iter().any(|condition| any.contains(condition))
    }
}

/// grpc/doc/statuscodes.
fn of_grpc(status: u16) -> Option<RetryCondition> {
    match status {
        1 => Some(RetryCondition::Cancelled),
        4 => Some(RetryCondition::DeadlineExceeded),
        8 => Some(RetryCondition::ResourceExhausted),
        13 => Some(RetryCondition::Internal),
        14 => Some(RetryCondition::Unavailable),
        _ => None,
    }
}

/// Istio's default.
const BACKOFF: Duration = Duration::from_millis(25);
/// Envoy's: the longest pause in first ones.
const MOST_STEPS: u32 = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(on: &[RetryCondition], statuses: &[u16]) -> RetryPolicy {
        RetryPolicy {
            on: on.to_vec(),
            statuses: statuses.to_vec(),
            ..RetryPolicy::default()
        }
    }

    fn answered(status: u16) -> AttemptOutcome {
        AttemptOutcome::Answered(AttemptAnswer {
            status,
            grpc_status: None,
            ratelimited: false,
        })
    }

    fn grpc(status: u16) -> AttemptOutcome {
        AttemptOutcome::Answered(AttemptAnswer {
            status: 200,
            grpc_status: Some(status),
            ratelimited: false,
        })
    }

    #[test]
    fn of_itself_only_what_was_not_processed_is_repeated() {
        let policy = RetryPolicy::default();
        for outcome in [
            AttemptOutcome::NotConnected,
            AttemptOutcome::Refused,
            grpc(14),
            grpc(1),
        ] {
            assert!(policy.repeats(outcome, false), "{outcome:?}");
        }
        for outcome in [
            AttemptOutcome::Broken,
            AttemptOutcome::Timeout,
            answered(503),
            grpc(13),
        ] {
            assert!(!policy.repeats(outcome, true), "{outcome:?}");
        }
    }

    #[test]
    fn each_word_of_retry_on_asks_for_what_it_says() {
        use RetryCondition::*;
        let limited = AttemptOutcome::Answered(AttemptAnswer {
            status: 429,
            grpc_status: None,
            ratelimited: true,
        });
        for (word, repeated, others) in [
            (
                ServerError,
                &[answered(500), AttemptOutcome::Timeout][..],
                &[answered(499)][..],
            ),
            (
                GatewayError,
                &[answered(502), answered(504)],
                &[answered(500), AttemptOutcome::Broken],
            ),
            (
                Reset,
                &[AttemptOutcome::Broken, AttemptOutcome::NotSent],
                &[answered(503)],
            ),
            (
                ResetBeforeRequest,
                &[AttemptOutcome::NotSent],
                &[AttemptOutcome::Broken],
            ),
            (
                ConnectFailure,
                &[AttemptOutcome::NotConnected],
                &[AttemptOutcome::NotSent],
            ),
            (EnvoyRatelimited, &[limited], &[answered(429)]),
            (Retriable4xx, &[answered(409)], &[answered(404)]),
            (
                RefusedStream,
                &[AttemptOutcome::Refused],
                &[AttemptOutcome::Broken],
            ),
            (DeadlineExceeded, &[grpc(4)], &[grpc(14)]),
            (ResourceExhausted, &[grpc(8)], &[grpc(4)]),
            (Internal, &[grpc(13)], &[grpc(0)]),
        ] {
            let policy = policy(&[word], &[]);
            assert!(
                repeated.iter().all(|it| policy.repeats(*it, true)),
                "{word:?}"
            );
            assert!(
                !others.iter().any(|it| policy.repeats(*it, true)),
                "{word:?}"
            );
        }
        let statuses = policy(&[RetriableStatusCodes], &[503]);
        assert!(statuses.repeats(answered(503), true));
        assert!(!statuses.repeats(answered(502), true));
    }

    #[test]
    fn pauses_are_drawn_up_to_a_time_that_doubles_to_ten_times_the_first() {
        let policy = RetryPolicy::default();
        let longest = |repetition| policy.pause(repetition, u64::MAX).as_millis() + 1;
        assert_eq!([1, 2, 3, 4, 40].map(longest), [25, 75, 175, 250, 250]);
        assert_eq!(policy.pause(3, 0), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn what_may_have_been_processed_and_is_not_idempotent_is_never_repeated(
            words in prop::sample::subsequence(vec![
                RetryCondition::ServerError,
                RetryCondition::GatewayError,
                RetryCondition::Reset,
                RetryCondition::ResetBeforeRequest,
                RetryCondition::ConnectFailure,
                RetryCondition::RefusedStream,
                RetryCondition::RetriableStatusCodes,
            ], 0..=7),
            status in 400..600_u16,
        ) {
            let policy = policy(&words, &[status]);
            for outcome in [AttemptOutcome::Broken, AttemptOutcome::Timeout, answered(status)] {
                prop_assert!(!policy.repeats(outcome, false));
            }
        }
    }
}
