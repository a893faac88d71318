-- A page of a user's transactions in the order of their execution, without reading the others.
create index portfolio_transactions_in_order
    on stocks.portfolio_transactions (user_id, executed_at, side, transaction_id);
