//! A judge that finds nothing is worth something only if it finds what there is.

use super::*;

fn message(index: u32) -> Message {
    Message { value: Some(vec![u8::try_from(index).unwrap()]), ..Message::default() }
}

fn at(offset: i64) -> Told {
    Told::Delivered { partition: 0, offset: Some(offset) }
}

fn judge(told: &[Told], log: &[u32]) -> Result<Count> {
    let mut fates = Fates::default();
    for (index, told) in told.iter().enumerate() {
        fates.tell(index, told.clone(), false);
    }
    let record = |(offset, index): (i64, &u32)| Record {
        partition: 0,
        offset,
        timestamp: 0,
        key: None,
        value_len: Some(1),
        value_sha256: message(*index).digest(),
        value: None,
        headers: Vec::new(),
    };
    let log: Vec<Record> = (0..).zip(log).map(record).collect();
    verify(u32::try_from(told.len()).unwrap(), message, &fates, &log)
}

#[test]
fn what_is_true_is_counted() {
    let told = [
        at(0),
        Told::NotDelivered(String::new()),
        Told::Delivered { partition: 0, offset: None },
        Told::Unknown(String::new()),
        Told::Unknown(String::new()),
    ];
    let count = judge(&told, &[0, 2, 4]).unwrap();
    assert_eq!((count.delivered, count.delivered_somewhere, count.not_delivered), (2, 1, 1));
    assert_eq!((count.unknown_there, count.unknown_absent, count.bytes), (1, 1, 3));
}

#[test]
fn every_lie_is_found() {
    let not = || Told::NotDelivered(String::new());
    let somewhere = || Told::Delivered { partition: 0, offset: None };
    let lies: [(&[Told], &[u32], &str); 9] = [
        (&[at(0)], &[], "lost"),
        (&[somewhere()], &[], "lost"),
        (&[at(0), at(1)], &[1, 0], "other bytes"),
        (&[at(0), at(0)], &[0], "both"),
        (&[at(1), at(0)], &[1, 0], "comes after"),
        (&[at(0)], &[0, 0], "twice"),
        (&[somewhere()], &[0, 0], "twice"),
        (&[at(0), not()], &[0, 1], "and told"),
        (&[at(0)], &[0, 9], "nobody's"),
    ];
    for (told, log, word) in lies {
        let error = judge(told, log).unwrap_err().to_string();
        assert!(error.contains(word), "{told:?} {log:?}: {error}");
    }
}
