//! Connections of which there may be only so many.

use super::*;

fn bulkhead(connections: u32, pending: u32) -> Arc<Bulkhead> {
    let limits = Limits {
        connections,
        pending,
    };
    Bulkhead::new("shop".into(), limits)
}

fn within(bulkhead: &Arc<Bulkhead>, application: &Application, tasks: &TaskTracker) -> Arc<Pool> {
    let bounds = Bounds(Some(Arc::clone(bulkhead)));
    let (dialer, terms) = (dialer(application.address), Terms::default());
    Pool::within(bounds, dialer, Protocol::Http, terms, tasks.clone())
}

/// Ends an answer in order.
async fn end(answer: Answer) {
    drop(answer.response.into_body().collect().await.unwrap());
    answer.lease.unwrap().rest().await.give_back();
}

/// Why a request is refused.
async fn refused(pool: &Arc<Pool>) -> String {
    match pool.send(request()).await {
        Err(SendError::Full(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A request that waits for a connection.
async fn waiting(
    pool: &Arc<Pool>,
    tasks: &TaskTracker,
) -> tokio::task::JoinHandle<Result<Answer, SendError>> {
    let waiting = Arc::clone(pool);
    let task = tasks.spawn(async move { waiting.send(request()).await });
    while !pool.bulkhead.as_ref().unwrap().is_waited_for(&pool.kept) {
        tokio::task::yield_now().await;
    }
    task
}

#[tokio::test]
async fn who_finds_no_room_gets_the_connection_that_comes_back_and_who_finds_no_queue_nothing() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 9).await;
    let pool = within(&bulkhead(1, 1), &application, &tasks);
    let first = pool.send(request()).await.unwrap();
    let second = waiting(&pool, &tasks).await;
    let why = refused(&pool).await;
    assert!(
        why.contains("shop has 1 requests without a connection"),
        "{why}"
    );
    end(first).await;
    end(second.await.unwrap().unwrap()).await;
    ask(&pool).await;
    assert_eq!(application.met(), 1);
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_its_room() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 9).await;
    let pool = within(&bulkhead(1, 9), &application, &tasks);
    let first = pool.send(request()).await.unwrap();
    let second = waiting(&pool, &tasks).await;
    drop(first);
    end(second.await.unwrap().unwrap()).await;
    assert_eq!(application.met(), 2);
}

#[tokio::test]
async fn who_has_waited_for_as_long_as_connecting_may_take_is_refused() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 9).await;
    let pool = within(&bulkhead(1, 9), &application, &tasks);
    let first = pool.send(request()).await.unwrap();
    pause();
    let began = Instant::now();
    let why = refused(&pool).await;
    is_about(began.elapsed(), Terms::default().connect);
    assert!(why.contains("shop has 1 connections"), "{why}");
    tokio::time::resume();
    // It does not stand in the queue any more.
    end(first).await;
    ask(&pool).await;
    assert_eq!(application.met(), 1);
}

#[tokio::test]
async fn who_lets_go_while_it_waits_takes_nothing_from_others() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 9).await;
    let pool = within(&bulkhead(1, 2), &application, &tasks);
    let first = pool.send(request()).await.unwrap();
    let gone = waiting(&pool, &tasks).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    let others = [waiting(&pool, &tasks).await, waiting(&pool, &tasks).await];
    tokio::task::yield_now().await;
    end(first).await;
    for other in others {
        end(other.await.unwrap().unwrap()).await;
    }
    assert_eq!(application.met(), 1);
}

#[tokio::test]
async fn what_is_idle_elsewhere_is_closed_for_who_waits() {
    let tasks = TaskTracker::new();
    let one = Application::start(&tasks, 99).await;
    let other = Application::start(&tasks, 99).await;
    let bulkhead = bulkhead(1, 9);
    let (to_one, to_other) = (
        within(&bulkhead, &one, &tasks),
        within(&bulkhead, &other, &tasks),
    );
    for turn in 1..4 {
        ask(&to_one).await;
        ask(&to_other).await;
        assert_eq!((one.met(), other.met()), (turn, turn));
    }
}

#[tokio::test]
async fn who_waits_for_another_endpoint_is_passed_over_only_so_often() {
    let tasks = TaskTracker::new();
    let one = Application::start(&tasks, 99).await;
    let other = Application::start(&tasks, 99).await;
    let bulkhead = bulkhead(1, 99);
    let (to_one, to_other) = (
        within(&bulkhead, &one, &tasks),
        within(&bulkhead, &other, &tasks),
    );
    let mut last = to_one.send(request()).await.unwrap();
    let first_in_turn = waiting(&to_other, &tasks).await;
    let mut passed = 0;
    while !first_in_turn.is_finished() {
        let next = waiting(&to_one, &tasks).await;
        end(last).await;
        let its_turn = async {
            while !first_in_turn.is_finished() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = next => last = answer.unwrap().unwrap(),
            () = its_turn => break,
        }
        passed += 1;
        assert!(passed <= 16);
    }
    assert_eq!(passed, 16);
    assert!(first_in_turn.await.unwrap().is_ok());
    assert_eq!((one.met(), other.met()), (1, 1));
}

#[tokio::test]
async fn more_room_goes_to_who_waits_at_once() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 9).await;
    let bulkhead = bulkhead(1, 9);
    let pool = within(&bulkhead, &application, &tasks);
    let _first = pool.send(request()).await.unwrap();
    let second = waiting(&pool, &tasks).await;
    bulkhead.follow(Limits {
        connections: 2,
        pending: 9,
    });
    assert!(second.await.unwrap().is_ok());
    assert_eq!(application.met(), 2);
}

#[tokio::test]
async fn a_connection_of_bytes_has_room_for_as_long_as_it_lives() {
    let tasks = TaskTracker::new();
    let application = Application::start(&tasks, 9).await;
    let pool = within(&bulkhead(1, 9), &application, &tasks);
    let first = pool.dial().await.unwrap();
    pause();
    assert!(matches!(pool.dial().await, Err(SendError::Full(_))));
    tokio::time::resume();
    drop(first);
    assert!(pool.dial().await.is_ok());
}

#[tokio::test]
async fn all_who_wait_use_a_connection_of_http2_when_it_is_made() {
    let tasks = TaskTracker::new();
    let application = application_of_http2(&tasks).await;
    let (one, other) = (bulkhead(1, 99), dialer(application.address));
    let (bounds, terms) = (Bounds(Some(one)), Terms::default());
    let pool = Pool::within(bounds, other, Protocol::Http2, terms, tasks.clone());
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tasks.spawn(async move { pool.send(request()).await })
        })
        .collect();
    for asked in asked {
        assert!(asked.await.unwrap().is_ok());
    }
    assert_eq!(application.met(), 1);
}
