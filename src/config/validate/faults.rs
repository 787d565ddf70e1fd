//! `[authority.faults]`: every fault that is ordered can happen, and the control endpoint stays on this machine.

use std::num::NonZeroU32;

use super::Check;
use crate::config::diagnostic::{Code, Diagnostic, Span};
use crate::config::model::AuthorityFaults;
use crate::config::raw::authority as raw;
use crate::config::table::Field;
use crate::faults::{Details, Order, Unfit};

pub fn faults(raw: &Field<raw::AuthorityFaults>, check: &mut Check<'_, '_>) -> Option<Option<AuthorityFaults>> {
    let raw = match raw {
        Field::Absent | Field::Default(_) => return Some(None),
        Field::Broken => return None,
        Field::Written { value, .. } => value,
    };
    if let Some((control, span)) = raw.control.written().filter(|(control, _)| !control.0.ip().is_loopback()) {
        let message = "the control endpoint of the authority's faults would be reachable from other machines";
        let help = format!("listen on \"127.0.0.1:{}\"; `allow_remote` is not for it", control.0.port());
        check.report(Diagnostic::new(Code::AuthorityExposed, message).at(span, "").help(help));
    }
    let tables = match &raw.on {
        Field::Broken => return None,
        other => other.get().map_or(&[][..], |tables| &tables.0),
    };
    let orders: Vec<_> = tables.iter().map(|table| Some((order(&table.value, check)?, table.span.clone()))).collect();
    let orders: Vec<(Order, Span)> = orders.into_iter().collect::<Option<_>>()?;
    refuse_twins(&orders, check);
    let on = orders.into_iter().map(|(order, _)| order).collect();
    Some(Some(AuthorityFaults { control: raw.control.get().map(|control| control.0), on }))
}

fn order(raw: &raw::AuthorityFault, check: &mut Check<'_, '_>) -> Option<Order> {
    let (fault, at) = raw.fault.written()?;
    if matches!((&raw.at, &raw.count), (Field::Broken, _) | (_, Field::Broken))
        || matches!((&raw.delay, &raw.status), (Field::Broken, _) | (_, Field::Broken))
    {
        return None;
    }
    let details = Details {
        place: raw.at.get().map(|place| place.0),
        count: raw.count.get().and_then(|count| NonZeroU32::new(u32::try_from(count.0).ok()?)),
        delay: raw.delay.get().map(|delay| delay.0),
        status: raw.status.get().and_then(|status| u16::try_from(status.0).ok()),
    };
    Order::new(fault.0, details).map_err(|unfit| check.report(misordered(raw, at, unfit))).ok()
}

fn misordered(raw: &raw::AuthorityFault, fault: &Span, unfit: Unfit) -> Diagnostic {
    let place = match unfit {
        Unfit::Place(..) => raw.at.written().map(|(_, span)| span),
        Unfit::Delay(_) | Unfit::LongDelay => raw.delay.written().map(|(_, span)| span),
        Unfit::Status(_) | Unfit::OddStatus(_) => raw.status.written().map(|(_, span)| span),
    };
    let help = match unfit {
        Unfit::Place(..) => "name another place, or none for the usual one",
        Unfit::Delay(_) | Unfit::Status(_) => "remove it",
        Unfit::LongDelay | Unfit::OddStatus(_) => "write one within these bounds",
    };
    Diagnostic::new(Code::FaultOrder, unfit.to_string()).at(place.unwrap_or(fault), "").help(help)
}

fn refuse_twins(orders: &[(Order, Span)], check: &mut Check<'_, '_>) {
    for (position, (order, span)) in orders.iter().enumerate() {
        let same = |(other, _): &&(Order, Span)| (other.fault, other.place) == (order.fault, order.place);
        if let Some((_, first)) = orders[..position].iter().find(same) {
            let diagnostic = Diagnostic::new(Code::FaultOrder, format!("{order} is ordered twice"));
            check.report(diagnostic.at(span, "again here").at(first, "first here").help("remove one of them"));
        }
    }
}
