//! Tests of what comparisons need of a log: steps, restarts, forms that can be compared, digits that are kept.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use super::tests::take;
use super::*;

/// The step that lines without `step: 1` belong to.
#[test]
fn step_is_found_by_other_names() {
    let some = |line: &str| {
        let mut metrics = vec![Metric::named("loss")];
        metrics.push(Metric::named("step"));
        let read = take(&metrics, &[line.as_bytes()]).swap_remove("loss").unwrap();
        read.samples.steps().to_vec()
    };
    for (line, step) in [
        ("step 11 loss: 2.5", Some(11)),
        ("Step: 11/20 loss: 2.5", Some(11)),
        ("[Step 11] loss: 2.5", Some(11)),
        ("iter: 11, loss: 2.5", Some(11)),
        ("iteration      11/  500 | loss: 2.5", Some(11)),
        (r#"{"global_step": 11, "loss": 2.5}"#, Some(11)),
        ("step: 11 loss: 2.5", Some(11)),
        ("loss: 2.5 iter 11", Some(11)),
        ("epoch 2 iter 11 loss: 2.5", None),
        ("iter: 0.512 loss: 2.5", None),
        ("iter: 5 ms loss: 2.5", None),
        ("time per iter: 5 loss: 2.5", None),
        ("warmup_step: 5 loss: 2.5", None),
        ("ms/iter: 5 loss: 2.5", None),
        ("total steps: 5 loss: 2.5", None),
        ("step 1,000 loss: 2.5", None),
        ("loss: 2.5", None),
    ] {
        assert_eq!(some(line), [step], "{line}");
    }
}

/// A program that names its steps in another way and begins again is a restart too.
#[test]
fn restart_without_step_label_is_detected() {
    let mut log: String = (1..=30).map(|n| format!("iter {n}: tps: 5\n")).collect();
    log += &(1..=20)
        .map(|n| format!("iter {n}: tps: 7\n"))
        .collect::<String>();
    let metrics = [Metric::named("tps"), Metric::named("step")];
    let read = take(&metrics, &[log.as_bytes()]).swap_remove("tps").unwrap();
    assert_eq!((read.told.restarts, read.told.discarded), (1, 30));
    assert_eq!(read.samples.values(), [7.0; 20]);
}

/// A change of the unit between two logs is never compared, however small the factor.
#[test]
fn logs_with_other_words_clash() {
    let forms = |log: &str| {
        let metrics = [Metric::named("x")];
        take(&metrics, &[log.as_bytes()]).swap_remove("x").unwrap().forms
    };
    let clash = |a: &str, b: &str| forms(a).clash(&forms(b)).is_some();
    for (base, change) in [
        ("x: 5 graphs\n", "x: 6 trees\n"),
        ("x: 5 graphs\n", "x: 6\n"),
        ("x: 5 foo grad norm: 1\n", "x: 6 bar grad norm: 1\n"),
        ("x: 5 ms\n", "x: 6\n"),
        ("x: 5 ms\n", "x: 6 GiB\n"),
        ("x: 5K\n", "x: 500\n"),
        ("x: 5 ms warm\n", "x: 6 ms\n"),
        ("x: 5 ms (warm)\n", "x: 6 ms (cold)\n"),
        ("step,x (ms)\n1,5\n2,5\n", "step,x (s)\n1,5\n2,5\n"),
        ("step\tx[ms]\n1\t5\n", "step\tx[s]\n1\t5\n"),
        ("step,x (s)\n1,5\n2,5\n", "step,x\n1,5\n2,5\n"),
        ("x: 1.1 aa\nx: 9 bb\n", "x: 9 bb\n"),
    ] {
        assert!(clash(base, change) && clash(change, base), "{base}{change}");
    }
    for (base, change) in [
        ("x: 5 graphs\n", "x: 6 graphs\n"),
        ("x: 5 loss: 2\n", "x: 6 mfu: 2\n"),
        ("x: 5 grad norm: 2\n", "x: 6 lm loss: 2\n"),
        ("x: 5 at step 3\n", "x: 6 on rank 3\n"),
        ("x: 5\nx: 5 improved\n", "x: 6\n"),
        ("x: 22.8K\n", "x: 20,100\n"),
        ("x: 5 ms\n", "x: 6 ms\n"),
        ("step,x (ms)\n1,5\n2,5\n", "step,x (ms)\n1,6\n2,6\n"),
        ("x: 5 ms (loss: 3)\n", "x: 6 ms (lr: 2)\n"),
    ] {
        assert!(!clash(base, change) && !clash(change, base), "{base}{change}");
    }
}

#[test]
fn number_with_lost_digits_is_marked() {
    let rounded = |number: &str| {
        let metrics = [Metric::named("x")];
        let log = format!("x: {number}\n");
        take(&metrics, &[log.as_bytes()])
            .swap_remove("x")
            .unwrap()
            .forms
            .rounded
    };
    for number in [
        "9007199254740993",
        "0.123456789012345678",
        "1.0000000000000000001e5",
    ] {
        assert!(rounded(number), "{number}");
    }
    for number in [
        "9007199254740992",
        "9007199254740994",
        "0.12345678901234567",
        "1e300",
        "0.000000000000000000001",
    ] {
        assert!(!rounded(number), "{number}");
    }
}
