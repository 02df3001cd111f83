-- How many flights and miles does each carrier have so far, and how late was its latest departure? One running group a carrier, without windows.
SELECT carrier, count(*) AS flights, sum(distance) AS miles, max(dep_delay) AS latest FROM flights GROUP BY carrier ORDER BY carrier;
