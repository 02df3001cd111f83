-- When did the wind gust with 45 miles an hour or more?
SELECT time AS at, origin, wind_gust AS gust, round(wind_gust * 0.868976) AS knots FROM weather WHERE wind_gust >= 45 ORDER BY i;
