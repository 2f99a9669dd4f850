SELECT bid, abalance % 100 AS class, count(*) AS accounts, count(DISTINCT aid % 1000) AS groups
FROM pgbench_accounts GROUP BY 1, 2 ORDER BY 3 DESC, 4;
