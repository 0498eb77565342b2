use super::*;

fn pool(size: usize) -> Names {
    Names::with_capacity(NonZeroUsize::new(size).unwrap())
}

#[test]
fn a_name_keeps_its_addresses() {
    let names = Names::default();
    let now = Instant::now();
    let first = names.address("a.example", now).unwrap();
    let other = names.address("b.example", now).unwrap();
    assert_eq!(names.address("a.example", now).unwrap(), first);
    assert_ne!(other, first);
    assert_eq!(first.v4, Ipv4Addr::new(198, 18, 0, 1));
    assert_eq!(
        first.v6,
        "fd63:6172:626f:79::1".parse::<Ipv6Addr>().unwrap()
    );
}

#[test]
fn both_addresses_lead_back_to_the_name() {
    let names = Names::default();
    let now = Instant::now();
    let synthetic = names.address("a.example", now).unwrap();
    for address in [
        IpAddr::from(synthetic.v4),
        synthetic.v6.into(),
        synthetic.v4.to_ipv6_mapped().into(),
    ] {
        assert_eq!(
            names.name(address, now).as_deref(),
            Some("a.example"),
            "{address}"
        );
    }
}

#[test]
fn addresses_that_stand_for_nothing_are_known_as_such() {
    let names = Names::default();
    let now = Instant::now();
    names.address("a.example", now).unwrap();
    for (address, in_pool) in [
        ("198.18.0.0", true),
        ("198.18.0.2", true),
        ("198.19.255.255", true),
        ("198.20.0.0", false),
        ("198.17.255.255", false),
        ("192.0.2.1", false),
        ("fd63:6172:626f:79::", true),
        ("fd63:6172:626f:79:8000::1", true),
        ("fd63:6172:626f:7a::1", false),
        ("::1", false),
    ] {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(names.name(address, now), None, "{address}");
        assert_eq!(Names::holds(address), in_pool, "{address}");
    }
}

#[test]
fn a_full_pool_refuses_until_the_oldest_is_old_enough() {
    let names = pool(2);
    let start = Instant::now();
    let a = names.address("a.example", start).unwrap();
    names.address("b.example", start).unwrap();
    assert_eq!(names.address("c.example", start), Err(PoolExhausted));

    let later = start + KEPT;
    assert_eq!(names.address("c.example", later).unwrap(), a);
    assert_eq!(names.name(a.v4.into(), later).as_deref(), Some("c.example"));
}

#[test]
fn a_connection_keeps_a_name_in_use() {
    let names = pool(2);
    let start = Instant::now();
    let a = names.address("a.example", start).unwrap();
    let b = names.address("b.example", start).unwrap();
    let later = start + KEPT;
    names.name(a.v6.into(), later).unwrap();
    assert_eq!(names.address("c.example", later).unwrap(), b);
    assert_eq!(names.name(a.v4.into(), later).as_deref(), Some("a.example"));
}

#[test]
fn the_whole_pool_can_be_used() {
    let names = Names::default();
    let now = Instant::now();
    for index in 0..NAMES_MAX.get() {
        let name = format!("n{index}.example");
        let synthetic = names.address(&name, now).unwrap();
        assert!(Names::holds(synthetic.v4.into()) && Names::holds(synthetic.v6.into()));
        assert_eq!(
            names.name(synthetic.v4.into(), now).as_deref(),
            Some(&*name)
        );
    }
    assert_eq!(names.address("one.more", now), Err(PoolExhausted));
}
